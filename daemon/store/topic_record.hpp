// What is kept of a topic beside its log: what it was made with.
#pragma once

#include "daemon/store/files.hpp"
#include "layout/segment.hpp"
#include "shmbus/types.hpp"

namespace shmbus::store {

struct TopicRecord {
    layout::Uuid uuid{};
    TopicOptions options;
    std::uint32_t creator = 0; // uid
};

/// Into a topic's new directory; on disk when this has returned. @throws FileError
void write_record(Directory& directory, const TopicRecord& record);

/// The options as they were written: whether they make sense is for the caller to say. Nothing if there
/// is no record. @throws FileError; Error: damaged, incompatible
[[nodiscard]] std::optional<TopicRecord> read_record(Directory& directory);

} // namespace shmbus::store
