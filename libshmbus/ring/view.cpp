#include "ring/view.hpp"

#include "shmbus/error.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

namespace shmbus::ring {

namespace {

/// What ring and readers objects begin with alike.
struct Prefix {
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t reserved;
    std::uint64_t total_bytes;
    layout::Uuid topic;
};

void check_prefix(const char* object, std::span<const std::byte> memory, std::uint64_t magic,
                  std::uint64_t size, const layout::Uuid& topic) {
    const auto damaged = [&](const std::string& why) {
        return Error(Errc::damaged, std::string(object) + ": " + why);
    };
    if (memory.size() < layout::page) throw damaged("too small to be one");
    Prefix prefix;
    std::memcpy(&prefix, memory.data(), sizeof prefix);
    if (prefix.magic != magic) throw damaged("wrong magic number");
    if (prefix.major != layout::layout_major)
        throw Error(Errc::incompatible, std::string(object) + ": layout version " +
                                            std::to_string(prefix.major) + ", this build knows " +
                                            std::to_string(layout::layout_major));
    if (prefix.total_bytes != size || memory.size() != size)
        throw damaged("size does not follow from its parameters");
    if (prefix.topic != topic) throw damaged("belongs to another topic");
}

} // namespace

void format_ring(std::span<std::byte> memory, const layout::RingParameters& parameters,
                 const layout::Uuid& topic) noexcept {
    assert(memory.size() == layout::geometry_of(parameters).total_bytes);
    auto& header = *reinterpret_cast<layout::RingHeader*>(memory.data());
    header.magic = layout::ring_magic;
    header.major = layout::layout_major;
    header.minor = layout::layout_minor;
    header.total_bytes = memory.size();
    header.topic = topic;
    header.parameters = parameters;
    header.tail.store_relaxed(parameters.first_sequence);
    header.written.store_relaxed(parameters.first_sequence - 1);
    header.durable.store_relaxed(parameters.first_sequence - 1);
    header.wake.store_relaxed(1);
    header.rung.store_relaxed(1);
    // Handed out by a system call later, which orders it before anybody's first look.
}

void identify_readers(layout::ReadersHeader& header, const layout::RingParameters& parameters,
                      const layout::Uuid& topic) noexcept {
    // Only what differs: somebody may be reading it.
    const auto set = [](auto& field, const auto& value) {
        if (field != value) field = value;
    };
    set(header.magic, layout::readers_magic);
    set(header.major, layout::layout_major);
    set(header.minor, layout::layout_minor);
    set(header.total_bytes, layout::readers_geometry_of(parameters).total_bytes);
    set(header.topic, topic);
    set(header.chunk_count, layout::geometry_of(parameters).chunk_count);
    set(header.max_readers, parameters.max_readers);
}

void format_readers(std::span<std::byte> memory, const layout::RingParameters& parameters,
                    const layout::Uuid& topic) noexcept {
    assert(memory.size() == layout::readers_geometry_of(parameters).total_bytes);
    auto& header = *reinterpret_cast<layout::ReadersHeader*>(memory.data());
    identify_readers(header, parameters, topic);
    header.space.store_relaxed(1);
    header.space_rung.store_relaxed(1);
}

void check_ring(std::span<const std::byte> memory, const layout::RingParameters& parameters,
                const layout::Uuid& topic) {
    if (const auto problem = layout::problem_with(parameters); !problem.empty())
        throw Error(Errc::damaged, "ring: " + problem);
    check_prefix("ring", memory, layout::ring_magic, layout::geometry_of(parameters).total_bytes,
                 topic);
    layout::RingParameters found;
    std::memcpy(&found, memory.data() + offsetof(layout::RingHeader, parameters), sizeof found);
    if (found != parameters) throw Error(Errc::damaged, "ring: other parameters than announced");
}

void check_readers(std::span<const std::byte> memory, const layout::RingParameters& parameters,
                   const layout::Uuid& topic) {
    if (const auto problem = layout::problem_with(parameters); !problem.empty())
        throw Error(Errc::damaged, "readers object: " + problem);
    check_prefix("readers object", memory, layout::readers_magic,
                 layout::readers_geometry_of(parameters).total_bytes, topic);
}

RingView::RingView(std::span<std::byte> memory, const layout::RingParameters& parameters) noexcept
    : base_(memory.data()), index_mask_(parameters.capacity - 1),
      slot_shift_(static_cast<unsigned>(std::countr_zero(parameters.slot_bytes))),
      parameters_(parameters), geometry_(layout::geometry_of(parameters)) {
    assert(memory.size() == geometry_.total_bytes);
    slots_ = base_ + geometry_.slots;
}

std::span<std::byte> RingView::chunk(std::uint32_t chunk) const noexcept {
    assert(chunk < chunk_count());
    std::uint32_t c = geometry_.class_count - 1;
    while (chunk < geometry_.classes[c].first) --c;
    const auto& in = geometry_.classes[c];
    return {base_ + in.offset + (chunk - in.first) * in.bytes, in.bytes};
}

std::uint32_t RingView::publisher_limit() const noexcept {
    return std::min<std::uint32_t>(header().publisher_limit.load_acquire(),
                                   parameters_.max_publishers);
}

ReadersView::ReadersView(std::span<std::byte> memory,
                         const layout::RingParameters& parameters) noexcept
    : base_(memory.data()), max_readers_(parameters.max_readers),
      geometry_(layout::readers_geometry_of(parameters)) {
    assert(memory.size() == geometry_.total_bytes);
}

std::uint32_t ReadersView::reader_limit() const noexcept {
    return std::min(header().reader_limit.load_acquire(), max_readers_);
}

} // namespace shmbus::ring
