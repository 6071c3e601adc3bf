#include "daemon/store/topic_record.hpp"

#include "daemon/store/state_file.hpp"

#include <algorithm>

namespace shmbus::store {

namespace {

const std::string record_name = "topic";

/// As it is on disk; fields are only ever added, at the end.
struct Stored {
    layout::Uuid uuid;
    std::uint64_t max_event;
    std::uint64_t pool_bytes;
    std::uint64_t keep_bytes;
    std::uint64_t keep_age_ms;
    std::uint64_t keep_events;
    std::uint32_t capacity;
    std::uint32_t slot_bytes;
    std::uint32_t evict_after_ms;
    std::uint32_t hold_timeout_ms;
    std::uint32_t sync_interval_ms;
    std::uint32_t creator;
    std::uint8_t full;
    std::uint8_t sync;
    std::uint8_t hold;
    std::array<std::uint8_t, 5> reserved;
};
static_assert(sizeof(Stored) == 88);

/// Its file is found before its topic is known.
constexpr layout::Uuid no_topic{};

} // namespace

void write_record(Directory& directory, const TopicRecord& record) {
    const TopicOptions& options = record.options;
    const Stored stored{.uuid = record.uuid,
                        .max_event = options.max_event,
                        .pool_bytes = options.pool_bytes,
                        .keep_bytes = options.keep_bytes,
                        .keep_age_ms = options.keep_age_ms,
                        .keep_events = options.keep_events,
                        .capacity = options.capacity,
                        .slot_bytes = options.slot_bytes,
                        .evict_after_ms = options.evict_after_ms,
                        .hold_timeout_ms = options.hold_timeout_ms,
                        .sync_interval_ms = options.sync_interval_ms,
                        .creator = record.creator,
                        .full = static_cast<std::uint8_t>(options.full),
                        .sync = static_cast<std::uint8_t>(options.sync),
                        .hold = options.hold ? std::uint8_t{1} : std::uint8_t{0},
                        .reserved = {}};
    StateFile(directory, record_name, no_topic).write_twice(std::as_bytes(std::span(&stored, 1)));
}

std::optional<TopicRecord> read_record(Directory& directory) {
    const StateFile file(directory, record_name, no_topic);
    const auto stored = file.as<Stored>();
    if (!stored) {
        const auto names = directory.list();
        if (std::find(names.begin(), names.end(), record_name) == names.end()) return std::nullopt;
        throw Error(Errc::damaged, "the record of what it was made with (file '" + record_name +
                                       "') is damaged; move its directory away");
    }
    TopicOptions options;
    options.full = static_cast<FullPolicy>(stored->full);
    options.capacity = stored->capacity;
    options.slot_bytes = stored->slot_bytes;
    options.max_event = stored->max_event;
    options.pool_bytes = stored->pool_bytes;
    options.evict_after_ms = stored->evict_after_ms;
    options.hold_timeout_ms = stored->hold_timeout_ms;
    options.retention = Retention::disk;
    options.sync = static_cast<Sync>(stored->sync);
    options.sync_interval_ms = stored->sync_interval_ms;
    options.keep_bytes = stored->keep_bytes;
    options.keep_age_ms = stored->keep_age_ms;
    options.keep_events = stored->keep_events;
    options.hold = stored->hold != 0;
    return TopicRecord{stored->uuid, options, stored->creator};
}

} // namespace shmbus::store
