#include "daemon/store/topic_record.hpp"

#include "daemon/store/state_file.hpp"

#include <algorithm>

namespace shmbus::store {

namespace {

const std::string record_name = "topic";

/// Its file is found before its topic is known.
constexpr layout::Uuid no_topic{};

} // namespace

PackedRecord pack(const TopicRecord& record) noexcept {
    const TopicOptions& options = record.options;
    return {.uuid = record.uuid,
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
            .retention = static_cast<std::uint8_t>(options.retention),
            .reserved = {}};
}

TopicRecord unpack(const PackedRecord& packed) noexcept {
    TopicOptions options;
    options.full = static_cast<FullPolicy>(packed.full);
    options.capacity = packed.capacity;
    options.slot_bytes = packed.slot_bytes;
    options.max_event = packed.max_event;
    options.pool_bytes = packed.pool_bytes;
    options.evict_after_ms = packed.evict_after_ms;
    options.hold_timeout_ms = packed.hold_timeout_ms;
    options.retention = static_cast<Retention>(packed.retention);
    options.sync = static_cast<Sync>(packed.sync);
    options.sync_interval_ms = packed.sync_interval_ms;
    options.keep_bytes = packed.keep_bytes;
    options.keep_age_ms = packed.keep_age_ms;
    options.keep_events = packed.keep_events;
    options.hold = packed.hold != 0;
    return {packed.uuid, options, packed.creator};
}

void write_record(Directory& directory, const TopicRecord& record) {
    const PackedRecord packed = pack(record);
    StateFile(directory, record_name, no_topic).write_twice(std::as_bytes(std::span(&packed, 1)));
}

std::optional<TopicRecord> read_record(Directory& directory) {
    const StateFile file(directory, record_name, no_topic);
    const auto stored = file.as<PackedRecord>();
    if (!stored) {
        const auto names = directory.list();
        if (std::find(names.begin(), names.end(), record_name) == names.end()) return std::nullopt;
        throw Error(Errc::damaged, "the record of what it was made with (file '" + record_name +
                                       "') is damaged; move its directory away");
    }
    TopicRecord record = unpack(*stored);
    record.options.retention = Retention::disk;
    return record;
}

} // namespace shmbus::store
