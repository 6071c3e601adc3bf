// A topic's past on disk, read from its files: with a daemon or without one, and changing nothing.
//
//     for (const auto& segment : shmbus::inspect_spill(bus.topic("orders").directory))
//         for (const auto& damage : segment.damages) report(damage.first, damage.last);
//
// A topic's directory has its events in segments, files named after their first sequence. Where two
// overlap the later one is right: a segment ends where the next one begins. Nothing in them is believed
// before its checksum is: an event is shown as it was published, or it is a gap.
//
// What was on disk for sure and is not what was written any more is damage, and names its sequences.
// What was not is lost: a crash or a power loss leaves such events, and the daemon tells of them as it
// does here. At the end of the last file they are not told of at all: that is where a running daemon is
// writing. So a topic may be looked at while events come, up to those that were there at the beginning.
//
// Files that are missing from the beginning cannot be told from those that were removed because nobody
// wanted them kept; files missing in between are damage.
//
// The files belong to the user of the daemon, and nobody else but root may read them.
// Thread safety: all functions from any thread.
#pragma once

#include "shmbus/api.hpp"
#include "shmbus/error.hpp"
#include "shmbus/event.hpp"
#include "shmbus/types.hpp"

#include <functional>

namespace shmbus {

/// What of a file is damaged.
enum class SpillFault : std::uint8_t {
    event = 1,   ///< an event's attributes or payload
    frame = 2,   ///< what leads to events, or their file ends before them
    segment = 3, ///< all of the file: its header, or it belongs to another topic
};

[[nodiscard]] SHMBUS_API const char* name_of(SpillFault fault) noexcept;

/// Sequences that were on disk and are not what was written any more; both ends included.
struct SpillDamage {
    Sequence first = 0;
    Sequence last = 0;
    SpillFault fault = SpillFault::event;
    bool operator==(const SpillDamage&) const = default;
};

/// What one file has. Every sequence from `first` to `last` is one of its events or in one of its gaps.
struct SegmentReport {
    using Time = std::chrono::sys_time<std::chrono::nanoseconds>;
    std::string file; ///< its name in the directory
    Sequence first = 0;
    Sequence last = 0; ///< first - 1 when there is nothing in it yet
    std::uint64_t bytes = 0;
    bool sealed = false;         ///< it is complete, and nothing is ever added to it
    std::uint64_t events = 0;    ///< that are what was written
    std::optional<Time> created; ///< nothing if its header is damaged
    std::optional<Time> oldest;  ///< publish time of its events; nothing without any
    std::optional<Time> newest;  ///< likewise
    std::vector<Gap> gaps;       ///< in order; damages are among them, as `corrupt`
    /// In order. With a header that is damaged nobody knows how much was in the last file: then at least
    /// its first sequence is named, and all up to `durable_through`.
    std::vector<SpillDamage> damages;
};

/// What each file has, in order; every byte of every event is read.
/// @param directory a topic's: TopicInfo::directory
/// @param durable_through up to here everything was on disk before this was called: what
///        TopicInfo::durable said. The files know it themselves up to the last sync but one or two, but
///        for topics with Sync::none.
/// @throws Error: permission; incompatible when a newer version wrote them; limit; system when there is
/// no such directory
[[nodiscard]] SHMBUS_API std::vector<SegmentReport> inspect_spill(const std::string& directory,
                                                                  Sequence durable_through = 0);

/// The same, and calls one of the functions for each event and each gap, in order. An Event is lent: it,
/// and all that it shows, is there during the call alone. Whatever the functions throw ends it. A file that
/// expires while this goes on is a gap, and in no report.
SHMBUS_API std::vector<SegmentReport> read_spill(const std::string& directory,
                                                 const std::function<void(const Event&)>& on_event,
                                                 const std::function<void(const Gap&)>& on_gap,
                                                 Sequence durable_through = 0);

} // namespace shmbus
