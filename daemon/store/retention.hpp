// Which segments of a log may go.
//
// Always the oldest ones, and never the last: so what remains is without a hole. A segment goes when it is
// beyond one of the limits as a whole; so a topic keeps at least what its limits say, except for bytes,
// which are a limit of the disk and are kept to.
//
// What somebody still needs (above the hold) stays in spite of the limits, up to a hard cap in bytes.
// A disk that runs low is not a reason: what was kept stays, and publishers are told (log.hpp).
#pragma once

#include "daemon/store/log.hpp"

#include <functional>

namespace shmbus::store {

/// No limit where there is nothing.
struct Limits {
    std::optional<std::uint64_t> max_age_ns = {};
    std::optional<std::uint64_t> max_bytes = {};
    std::optional<std::uint64_t> max_events = {}; // sequences, rather
    std::optional<std::uint64_t> hold_cap_bytes = {};
};

struct Situation {
    std::uint64_t now_ns = 0;
    /// Everything above is needed; nothing when nobody holds anything.
    std::optional<Sequence> hold = {};
};

struct SegmentFacts {
    Sequence first;
    Sequence last;
    std::uint64_t bytes;
    bool operator==(const SegmentFacts&) const = default;
};
/// No event in the i-th segment, or before it, is later.
using MaxTime = std::function<std::uint64_t(std::size_t i)>;

/// How many of the oldest segments may go. @param segments in order, the last one included
/// @param max_time is asked of those that go, and of one more, when age is a limit
[[nodiscard]] std::size_t expendable(std::span<const SegmentFacts> segments, const Limits& limits,
                                     const Situation& situation, const MaxTime& max_time);

/// What is known of a log's segments. Their names tell most of it; each is looked at for its size once, as
/// long as it is not the last, and read only when it has to be known how old its events are.
class Catalog {
  public:
    /// All outlive it.
    Catalog(const Log& log, Directory& directory, const layout::Uuid& topic)
        : log_(log), directory_(directory), topic_(topic) {}

    /// As it is now. @throws FileError
    [[nodiscard]] std::span<const SegmentFacts> update();
    /// What the header of the next segment says, or of one behind it when that is damaged.
    [[nodiscard]] std::uint64_t max_time(std::size_t i) const;

  private:
    const Log& log_;
    Directory& directory_;
    const layout::Uuid& topic_;
    std::vector<SegmentFacts> facts_;
};

} // namespace shmbus::store
