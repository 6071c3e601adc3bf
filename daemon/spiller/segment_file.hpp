// A topic's past, for who reads it: one file after the other, opened read-only.
#pragma once

#include "base/fd.hpp"
#include "daemon/spiller/disk_topic.hpp"

namespace shmbus::spiller {

struct SegmentFile {
    Sequence first = 0;
    Sequence end = 0;        // behind its last sequence, or behind what is in it by now
    std::uint64_t bytes = 0; // with these in them; what is behind may grow or go away
    Sequence durable = 0;
    base::Fd file; // none, and no bytes: it cannot be read
};

/// The file with sequence `from`; the oldest one, if that is gone. Nothing when nothing at or behind
/// `from` is in a file. Where there is no file at all: one without bytes or an event, where the first will
/// begin. @throws Error
[[nodiscard]] std::optional<SegmentFile> open_segment(const DiskTopic& topic, Sequence from);
/// The file to look in for the first event of this time or later.
[[nodiscard]] std::optional<SegmentFile> open_segment_of_time(const DiskTopic& topic,
                                                              std::uint64_t time_ns);

} // namespace shmbus::spiller
