// What is kept of a topic beside its log: what it was made with.
#pragma once

#include "daemon/store/files.hpp"
#include "layout/segment.hpp"
#include "shmbus/types.hpp"

#include <array>
#include <optional>

namespace shmbus::store {

struct TopicRecord {
    layout::Uuid uuid{};
    TopicOptions options;
    std::uint32_t creator = 0; // uid
};

/// As bytes; fields are only ever added, at the end.
struct PackedRecord {
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
    std::uint8_t retention; // what is in a file is on disk, whatever this says
    std::array<std::uint8_t, 4> reserved;
};
static_assert(sizeof(PackedRecord) == 88);

[[nodiscard]] PackedRecord pack(const TopicRecord& record) noexcept;
/// As it was packed: whether the options make sense is for the caller to say.
[[nodiscard]] TopicRecord unpack(const PackedRecord& packed) noexcept;

/// Into a topic's new directory; on disk when this has returned. @throws FileError
void write_record(Directory& directory, const TopicRecord& record);

/// The options as they were written: whether they make sense is for the caller to say. Nothing if there
/// is no record. @throws FileError; Error: damaged, incompatible
[[nodiscard]] std::optional<TopicRecord> read_record(Directory& directory);

} // namespace shmbus::store
