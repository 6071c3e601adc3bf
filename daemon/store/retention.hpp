// Which segments of a log may go.
//
// Always the oldest ones, and never the last: so what remains is without a hole. A segment goes when it is
// beyond one of the limits as a whole; so a topic keeps at least what its limits say, except for bytes,
// which are a limit of the disk and are kept to.
//
// What somebody still needs (above the hold) stays in spite of the limits, up to a hard cap in bytes.
// When the disk runs low, everything goes that nobody holds.
#pragma once

#include "daemon/store/log.hpp"

namespace shmbus::store {

/// No limit where there is nothing.
struct Limits {
    std::optional<std::uint64_t> max_age_ns = {};
    std::optional<std::uint64_t> max_bytes = {};
    std::optional<std::uint64_t> max_events = {}; // sequences, rather
    std::optional<std::uint64_t> hold_cap_bytes = {};
    std::uint64_t reserve_bytes = 0; // of the disk, to be left free
};

struct Situation {
    std::uint64_t now_ns = 0;
    std::uint64_t free_bytes = 0;
    /// Everything above is needed; nothing when nobody holds anything.
    std::optional<Sequence> hold = {};
};

struct SegmentFacts {
    Sequence first;
    Sequence last;
    std::uint64_t bytes;
    std::uint64_t max_time; // no event in it, or before it, is later
    bool operator==(const SegmentFacts&) const = default;
};

/// How many of the oldest segments may go. @param segments in order, the last one included
[[nodiscard]] std::size_t expendable(std::span<const SegmentFacts> segments, const Limits& limits,
                                     const Situation& situation) noexcept;

/// What is known of a log's segments, from their names, sizes and headers; each is read once.
class Catalog {
  public:
    /// @throws FileError; Error when one of the files is no segment
    [[nodiscard]] std::span<const SegmentFacts> update(const Log& log, Directory& directory,
                                                       const layout::Uuid& topic);

  private:
    std::vector<SegmentFacts> facts_;
};

} // namespace shmbus::store
