#include "tools/torture/cast.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace shmbus::tools::torture {

namespace {

constexpr std::uint64_t M = 1U << 20U;

/// What all topics have: payloads that fit a slot, and some that take a chunk; patience that is shorter than
/// the longest stop.
TopicOptions small(std::uint32_t capacity) {
    return {.capacity = capacity,
            .slot_bytes = 256,
            .max_event = 16U << 10U,
            .pool_bytes = 8 * M,
            .evict_after_ms = 1'000,
            .hold_timeout_ms = 1'000,
            .retention = Retention::memory};
}

TopicOptions on_disk(std::uint32_t capacity, Sync sync, std::uint64_t keep_bytes) {
    TopicOptions options = small(capacity);
    options.retention = Retention::disk;
    options.sync = sync;
    options.sync_interval_ms = 20;
    options.keep_bytes = keep_bytes;
    return options;
}

std::vector<TopicRules> topics() {
    TopicOptions oldest = small(64);
    oldest.full = FullPolicy::drop_oldest;
    TopicOptions reject = small(128);
    reject.full = FullPolicy::reject;
    TopicOptions held = on_disk(128, Sync::interval, 8 * M);
    held.hold = true;
    return {{.name = "memory-block", .options = small(256)},
            {.name = "memory-oldest", .options = oldest},
            {.name = "memory-reject", .options = reject},
            {.name = "memory-exclusive", .options = small(128)},
            {.name = "disk-group", .options = on_disk(256, Sync::group, 32 * M)},
            {.name = "disk-interval", .options = held},
            {.name = "disk-none", .options = on_disk(64, Sync::none, 16 * M)},
            {.name = "disk-named", .options = on_disk(64, Sync::group, 32 * M)},
            {.name = "disk-exclusive", .options = on_disk(1024, Sync::group, 32 * M)},
            {.name = "brief-memory", .options = small(64), .is_removed = true},
            {.name = "brief-disk", .options = on_disk(64, Sync::group, 4 * M), .is_removed = true}};
}

} // namespace

Cast make_cast() {
    Cast cast{topics(), {}};
    for (std::size_t i = 0; i < cast.topics.size(); ++i) {
        const auto& name = cast.topics[i].name;
        const auto add = [&](Part part) {
            part.topic = i;
            cast.parts.push_back(std::move(part));
        };
        add({.name = "watcher", .target = Target::subscriber, .is_spared = true});
        add({.name = "late", .target = Target::subscriber, .is_late = true});
        add({.name = "consumer", .target = Target::consumer, .is_named = true});
        if (name == "memory-block")
            add({.name = "lossy", .target = Target::subscriber, .is_late = true, .is_lossy = true});
        const bool is_named = name == "disk-named";
        const bool is_exclusive = name.ends_with("-exclusive");
        for (int n = 1; n <= (cast.topics[i].is_removed ? 1 : 2); ++n)
            add({.name = fmt::format("publisher-{}", n),
                 .target = Target::publisher,
                 .is_named = is_named,
                 .is_exclusive = is_exclusive});
    }
    std::stable_partition(cast.parts.begin(), cast.parts.end(),
                          [](const Part& part) { return part.is_spared; });
    return cast;
}

std::uint64_t disk_bytes(const Cast& cast) {
    return std::accumulate(
        cast.topics.begin(), cast.topics.end(), std::uint64_t{0},
        [](std::uint64_t sum, const TopicRules& topic) {
            if (!topic.is_on_disk()) return sum;
            const auto& options = topic.options;
            // Beyond what is kept: the segment that is written, the next one, and one that goes.
            const std::uint64_t segment = std::max(options.keep_bytes / 8, M / 4);
            return sum + (options.hold ? 4 : 1) * options.keep_bytes + 3 * segment;
        });
}

} // namespace shmbus::tools::torture
