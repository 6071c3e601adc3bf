#include "tools/bench/cases.hpp"

#include "tools/bench/bare.hpp"

#include <algorithm>
#include <bit>

namespace shmbus::tools::bench {

TopicOptions topic_for(const Setup& setup, FullPolicy full) {
    constexpr std::uint32_t header_bytes = 64; // of a slot
    constexpr std::uint32_t largest_slot = 4'096;
    TopicOptions options{.full = full, .retention = Retention::memory};
    if (setup.bytes + header_bytes <= largest_slot)
        options.slot_bytes = std::bit_ceil(static_cast<std::uint32_t>(setup.bytes) + header_bytes);
    const auto as_large_as_the_probe =
        static_cast<std::uint32_t>(probe_bytes(setup.bytes) / options.slot_bytes);
    options.capacity = std::min(options.capacity, std::bit_floor(as_large_as_the_probe));
    options.max_event = setup.bytes;
    options.pool_bytes = std::max<std::uint64_t>(64U << 20U, 16 * options.max_event);
    return options;
}

TopicOptions topic_on_disk(const Setup& setup) {
    TopicOptions options = topic_for(setup, FullPolicy::block);
    options.retention = Retention::disk;
    options.sync = setup.sync;
    options.sync_interval_ms = 10;
    options.keep_bytes = 256U << 20U;
    return options;
}

} // namespace shmbus::tools::bench
