#include "layout/ring.hpp"
#include "layout/extension.hpp"
#include "layout/readers.hpp"

#include <algorithm>
#include <bit>

namespace shmbus::layout {

namespace {

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) noexcept {
    return (value + to - 1) / to * to;
}

/// Chunk sizes grow by four from one page; the largest takes the largest event with everything
/// that may travel with it. Half of the pool belongs to the largest class, so that the largest
/// events have room for some; the others share the rest. A request that finds its class
/// exhausted takes from the next larger one.
void add_classes(const RingParameters& p, RingGeometry& g, std::uint64_t pool_offset) noexcept {
    const std::uint64_t largest = round_up(p.max_event + max_extension_bytes, page);
    if (p.pool_bytes < largest) return;
    std::array<std::uint64_t, RingGeometry::max_classes> sizes{};
    std::uint32_t classes = 0;
    for (std::uint64_t size = page; size * 4 <= largest && classes + 1 < sizes.size(); size *= 4) {
        if (size > p.slot_bytes) sizes[classes++] = size;
    }
    const std::uint64_t at_least = std::max(p.pool_bytes / 2, largest);
    const std::uint64_t share = classes == 0 ? 0 : (p.pool_bytes - at_least) / classes;
    const std::uint64_t for_largest = p.pool_bytes - share * classes;
    sizes[classes] = largest;
    std::uint64_t offset = pool_offset;
    for (std::uint32_t c = 0; c <= classes; ++c) {
        const std::uint64_t bytes = c == classes ? for_largest : share;
        const auto count = static_cast<std::uint32_t>(bytes / sizes[c]);
        if (count == 0) continue;
        g.classes[g.class_count++] = {sizes[c], offset, g.chunk_count, count};
        g.chunk_count += count;
        offset += count * sizes[c];
    }
    g.total_bytes = offset;
}

bool power_of_two_within(std::uint64_t value, std::uint64_t low, std::uint64_t high) noexcept {
    return std::has_single_bit(value) && value >= low && value <= high;
}

} // namespace

std::string problem_with(const RingParameters& p) {
    if (!power_of_two_within(p.capacity, min_capacity, max_capacity))
        return "capacity must be a power of two from 2 to 16777216 slots";
    if (!power_of_two_within(p.slot_bytes, min_slot_bytes, max_slot_bytes))
        return "slot size must be a power of two from 128 to 65536 bytes";
    if (p.max_event < 1 || p.max_event > max_max_event)
        return "the largest event must be from 1 byte to 1 GiB";
    if (p.pool_bytes > max_pool_bytes) return "the pool must be at most 64 GiB";
    if (p.pool_bytes == 0 && p.max_event + max_extension_bytes > p.slot_bytes - slot_header_bytes) {
        // Without a pool everything must fit a slot; attributes then share it with the payload.
        if (p.max_event > p.slot_bytes - slot_header_bytes)
            return "without a pool the largest event must fit a slot (slot size - 64 bytes)";
    } else if (p.pool_bytes != 0 &&
               p.pool_bytes < round_up(p.max_event + max_extension_bytes, page)) {
        return "the pool must have room for one largest event and its attributes (largest event + "
               "4608 bytes, in whole pages)";
    }
    if (RingGeometry g{}; add_classes(p, g, 0), g.chunk_count > max_chunks)
        return "the pool would have more than 2097152 chunks: make it smaller, or the slots or the "
               "largest event larger";
    if (p.first_sequence < 1 || p.first_sequence > ~std::uint64_t{0} >> 1U)
        return "the first sequence must be from 1 to 2^63 - 1";
    if (p.max_publishers < 1 || p.max_publishers > max_max_publishers)
        return "a topic has from 1 to 4095 publisher entries";
    if (p.max_readers < 64 || p.max_readers > max_max_readers || p.max_readers % 64 != 0)
        return "a topic has from 64 to 1024 subscriber entries, in steps of 64";
    // At 0 every subscriber would be late, and every payload that is being read up for reuse.
    if (p.evict_after_ms < 1) return "the time until eviction must be at least 1 ms";
    if (p.hold_timeout_ms < 1) return "the time a payload is held must be at least 1 ms";
    if (p.full_policy > 2) return "unknown full-policy";
    if (p.gate > 2) return "unknown gate";
    return {};
}

RingGeometry geometry_of(const RingParameters& p) noexcept {
    RingGeometry g{};
    g.watches = page;
    g.publishers = g.watches + round_up(p.max_readers * sizeof(ReaderWatch), 64);
    g.chunk_words = g.publishers + p.max_publishers * sizeof(PublisherEntry);
    // The number of chunks does not depend on where they are: count first, place then.
    add_classes(p, g, 0);
    const std::uint32_t chunks = g.chunk_count;
    g.slots = round_up(g.chunk_words + std::uint64_t{chunks} * sizeof(ChunkWord), page);
    g.slots_end = round_up(g.slots + std::uint64_t{p.capacity} * p.slot_bytes, page);
    g.total_bytes = g.slots_end;
    g.chunk_count = g.class_count = 0;
    add_classes(p, g, g.slots_end);
    return g;
}

ReadersGeometry readers_geometry_of(const RingParameters& p) noexcept {
    ReadersGeometry g{};
    g.words_per_chunk = p.max_readers / 64U;
    g.entries = sizeof(ReadersHeader);
    g.cells = g.entries + p.max_readers * sizeof(ReaderEntry);
    g.bits = g.cells + std::uint64_t{p.max_readers} * hold_cells * sizeof(HoldCell);
    g.total_bytes = round_up(g.bits + std::uint64_t{geometry_of(p).chunk_count} *
                                          g.words_per_chunk * sizeof(HoldBits),
                             page);
    return g;
}

} // namespace shmbus::layout
