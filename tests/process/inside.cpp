#include "process/inside.hpp"

#include "layout/group.hpp"

#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <sys/types.h>

namespace shmbus::test {

namespace {

struct Prefix { // what both objects begin with
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t reserved;
    std::uint64_t total_bytes;
    layout::Uuid topic;
};

layout::Uuid parse_uuid(const std::string& text) {
    std::string hex;
    for (const char c : text)
        if (c != '-') hex += c;
    if (hex.size() != 32) throw std::runtime_error("not a uuid: " + text);
    layout::Uuid uuid{};
    for (std::size_t i = 0; i < uuid.size(); ++i)
        uuid[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
    return uuid;
}

/// The bytes of the one object of this kind and topic that is mapped with `access` ("rw" or "r-").
std::span<std::byte> find_mapping(std::uint64_t magic, const layout::Uuid& topic,
                                  std::string_view access) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/memfd:") == std::string::npos) continue;
        std::istringstream words(line);
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        char dash = 0;
        std::string mode;
        words >> std::hex >> begin >> dash >> end >> mode;
        if (mode.substr(0, 2) != access || end - begin < layout::page) continue;
        Prefix prefix;
        std::memcpy(&prefix, reinterpret_cast<const void*>(begin), sizeof prefix);
        if (prefix.magic == magic && prefix.topic == topic)
            return {reinterpret_cast<std::byte*>(begin), end - begin};
    }
    throw std::runtime_error("the topic is not mapped here");
}

ring::Topic view(Bus& bus, const std::string& topic, std::string_view ring_access,
                 std::string_view readers_access) {
    const auto uuid = parse_uuid(bus.topic(topic).uuid);
    const auto ring = find_mapping(layout::ring_magic, uuid, ring_access);
    const auto readers = find_mapping(layout::readers_magic, uuid, readers_access);
    layout::RingParameters parameters;
    std::memcpy(&parameters, ring.data() + offsetof(layout::RingHeader, parameters),
                sizeof parameters);
    ring::check_ring(ring, parameters, uuid);
    ring::check_readers(readers, parameters, uuid);
    return {ring::RingView(ring, parameters), ring::ReadersView(readers, parameters)};
}

} // namespace

std::span<std::byte> cursor_page(Bus& bus, const std::string& topic) {
    return find_mapping(layout::cursor_magic, parse_uuid(bus.topic(topic).uuid), "rw");
}

std::span<std::byte> group_memory(Bus& bus, const std::string& topic) {
    return find_mapping(layout::group_magic, parse_uuid(bus.topic(topic).uuid), "rw");
}

ring::Topic publisher_view(Bus& bus, const std::string& topic) {
    return view(bus, topic, "rw", "r-");
}

ring::Topic subscriber_view(Bus& bus, const std::string& topic) {
    return view(bus, topic, "r-", "rw");
}

Traces traces_of(const ring::Topic& topic) {
    Traces traces;
    const auto& ring = topic.ring;
    const auto& readers = topic.readers;
    for (std::uint32_t i = 0; i < ring.capacity(); ++i) {
        const auto state = ring::Stamp(ring.slot(i).stamp.load_acquire()).slot_state();
        if (state == ring::SlotState::claimed) ++traces.claims;
        if (state == ring::SlotState::quarantined) ++traces.quarantined;
    }
    for (std::uint32_t c = 0; c < ring.chunk_count(); ++c) {
        const ring::Stamp stamp(ring.chunk_word(c).load_acquire());
        if (stamp.chunk_state() == layout::ChunkState::owned) ++traces.owned;
        for (std::uint32_t w = 0; w < readers.words_per_chunk(); ++w)
            traces.bits += static_cast<unsigned>(std::popcount(readers.bits(c)[w].load_acquire()));
    }
    for (std::uint32_t p = 0; p < ring.parameters().max_publishers; ++p)
        if (ring.publisher(p).id.load_acquire() != 0) ++traces.publishers;
    for (std::uint32_t r = 0; r < readers.max_readers(); ++r) {
        const auto& entry = readers.entry(r);
        if (entry.attach.load_acquire() != 0 || entry.pid.load_acquire() != 0) ++traces.readers;
        for (std::uint32_t i = 0; i < layout::hold_cells; ++i)
            if (readers.cells(r)[i].load_acquire() != 0) ++traces.cells;
    }
    return traces;
}

std::ostream& operator<<(std::ostream& out, const Traces& traces) {
    return out << "claims " << traces.claims << ", quarantined " << traces.quarantined
               << ", owned chunks " << traces.owned << ", publishers " << traces.publishers
               << ", readers " << traces.readers << ", cells " << traces.cells << ", bits "
               << traces.bits;
}

Usage usage_of(pid_t pid) {
    const std::filesystem::path proc = "/proc/" + std::to_string(pid);
    Usage usage;
    for (const auto& entry : std::filesystem::directory_iterator(proc / "fd")) {
        (void)entry;
        ++usage.descriptors;
    }
    std::ifstream status(proc / "status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("RssAnon:")) usage.anonymous_kib = std::stoull(line.substr(8));
    std::ifstream stat(proc / "stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    std::istringstream fields(text.substr(text.rfind(')') + 2)); // the name may contain anything
    std::string field;
    for (int i = 3; i <= 15 && fields >> field; ++i) // proc(5): 14 is utime, 15 stime
        if (i >= 14) usage.cpu_ticks += std::stoull(field);
    return usage;
}

pid_t child_of(pid_t parent) {
    const auto id = std::to_string(parent);
    std::ifstream children("/proc/" + id + "/task/" + id + "/children");
    pid_t pid = 0;
    children >> pid;
    return pid;
}

} // namespace shmbus::test
