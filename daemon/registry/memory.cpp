#include "daemon/registry/memory.hpp"

#include "base/memfd.hpp"
#include "daemon/system/log.hpp"
#include "ring/recovery.hpp"
#include "shmbus/error.hpp"

#include <fcntl.h>

namespace shmbus::registry {

namespace {

constexpr auto read_write = base::Access::read_write;

Descriptors make_memory(const std::string& name, std::uint64_t size, std::uint64_t allocated) {
    auto writable = base::make_memfd(name, size, allocated);
    auto read_only = base::read_only_twin(writable);
    return {std::move(writable), std::move(read_only)};
}

Descriptors adopt_memory(const base::Fd& fd, const std::string& what, std::uint64_t size) {
    if (base::sealed_size(fd, what) != size)
        throw Error(Errc::damaged, what + ": size does not follow from its parameters");
    return {base::writable_twin(fd), base::read_only_twin(fd)};
}

layout::RingHeader& header_in(const base::Mapping& mapping) {
    return *reinterpret_cast<layout::RingHeader*>(mapping.bytes().data());
}

} // namespace

TopicMemory::TopicMemory(const layout::RingParameters& parameters, Descriptors ring,
                         Descriptors readers)
    : parameters_(parameters), ring_(std::move(ring)), readers_(std::move(readers)),
      ring_mapping_(ring_.writable, read_write, layout::geometry_of(parameters).total_bytes),
      readers_mapping_(readers_.writable, read_write,
                       layout::readers_geometry_of(parameters).total_bytes) {}

TopicMemory TopicMemory::make(const std::string& name, const layout::Uuid& uuid,
                              const layout::RingParameters& parameters) {
    const auto ring = layout::geometry_of(parameters);
    const auto readers = layout::readers_geometry_of(parameters).total_bytes;
    TopicMemory memory(parameters,
                       make_memory("shmbus-ring-" + name, ring.total_bytes, ring.slots_end),
                       make_memory("shmbus-readers-" + name, readers, readers));
    ring::format_ring(memory.ring_mapping_.bytes(), parameters, uuid);
    ring::format_readers(memory.readers_mapping_.bytes(), parameters, uuid);
    return memory;
}

TopicMemory TopicMemory::adopt(const layout::Uuid& uuid, const layout::RingParameters& parameters,
                               const base::Fd& ring, const base::Fd& readers) {
    if (const auto problem = layout::problem_with(parameters); !problem.empty())
        throw Error(Errc::damaged, "ring: " + problem);
    TopicMemory memory(parameters,
                       adopt_memory(ring, "ring", layout::geometry_of(parameters).total_bytes),
                       adopt_memory(readers, "readers object",
                                    layout::readers_geometry_of(parameters).total_bytes));
    ring::check_ring(memory.ring_mapping_.bytes(), parameters, uuid);
    // Any subscriber may have written to it: what it says of itself is put right, not believed.
    ring::identify_readers(memory.view().readers.header(), parameters, uuid);
    return memory;
}

ring::Topic TopicMemory::view() const noexcept {
    return {ring::RingView(ring_mapping_.bytes(), parameters_),
            ring::ReadersView(readers_mapping_.bytes(), parameters_)};
}

void TopicMemory::free() const noexcept {
    const auto empty = [](const base::Fd& fd, std::uint64_t from, std::uint64_t to) {
        constexpr int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        // What cannot be freed is as it was.
        (void)::fallocate(fd.get(), mode, static_cast<off_t>(from), static_cast<off_t>(to - from));
    };
    empty(ring_.writable, layout::page, layout::geometry_of(parameters_).total_bytes);
    empty(readers_.writable, 0, layout::readers_geometry_of(parameters_).total_bytes);
}

namespace {

base::Mapping map_header(const base::Fd& ring) {
    if (base::sealed_size(ring, "ring") < sizeof(layout::RingHeader))
        throw Error(Errc::damaged, "ring: too small to be one");
    base::Mapping mapping(base::writable_twin(ring), read_write, sizeof(layout::RingHeader));
    if (header_in(mapping).magic != layout::ring_magic)
        throw Error(Errc::damaged, "ring: wrong magic number");
    return mapping;
}

} // namespace

layout::RingParameters parameters_in(const base::Fd& ring) {
    const auto mapping = map_header(ring);
    const layout::RingParameters parameters = header_in(mapping).parameters;
    if (const auto problem = layout::problem_with(parameters); !problem.empty())
        throw Error(Errc::damaged, "ring: " + problem);
    return parameters;
}

void disown(const base::Fd& ring) noexcept {
    try {
        const auto mapping = map_header(ring);
        ring::end_ring(header_in(mapping));
    } catch (const std::exception& e) {
        system::log(system::Level::warning,
                    std::string("a ring that is of no use goes on for those who map it: ") +
                        e.what());
    }
}

} // namespace shmbus::registry
