// What is found of a log when it is opened. Reads only.
//
// The last segment tells all: its header says up to where everything before it is on disk. If it has a
// footer, and that is known to be on disk, nothing else is read. Otherwise the whole file is.
#pragma once

#include "daemon/store/files.hpp"
#include "spill/segment_view.hpp"

#include <algorithm>

namespace shmbus::store {

inline const std::string spare_name = "spare";

/// The names in a log's directory.
struct Inventory {
    std::vector<Sequence> segments; // in order
    bool has_spare = false;
};
[[nodiscard]] Inventory take_inventory(const Directory& directory);

/// A file's bytes. What cannot be read of it is zeros, a page at a time: damaged like any other.
[[nodiscard]] std::vector<std::byte> read_all(const File& file);

/// What is known of a segment without reading what is in between.
struct Ends {
    layout::SegmentHeader header;
    std::uint64_t bytes; // of the file
    std::optional<layout::FooterSummary> footer = {};
};
/// Reads the header alone. @throws FileError; Error as spill::checked_header()
[[nodiscard]] Ends read_header(Directory& directory, const layout::Uuid& topic, Sequence first);
/// And the footer, if it has been sealed.
[[nodiscard]] Ends read_ends(Directory& directory, const layout::Uuid& topic, Sequence first);

/// The last segment.
struct Remains {
    Sequence next = 0;            // behind everything that is there
    Sequence durable_through = 0; // the largest found
    Sequence lease_through = 0;   // likewise
    std::uint64_t max_time = 0;   // of all events up to `next`
    std::uint64_t used = 0;       // bytes up to the last frame's end
    bool is_sealed = false;
    /// The frames that are not known to be on disk: where they begin, and how much a copy of them is.
    struct Tail {
        Sequence first;
        std::uint64_t bytes;
    };
    std::optional<Tail> tail;
};
/// @param durable_through known from elsewhere
[[nodiscard]] Remains examine(Directory& directory, const layout::Uuid& topic, Sequence first,
                              Sequence durable_through);

/// Calls event(cursor) for each good event of [first, next), and gap(Gap) for everything else.
template <class OnEvent, class OnGap>
void for_each_of(spill::FrameCursor& cursor, Sequence first, Sequence next, OnEvent event,
                 OnGap gap) {
    while (cursor.expected() < next) {
        const Sequence expected = cursor.expected();
        const auto found = cursor.next();
        const bool is_event = found == spill::Found::event;
        if (is_event && cursor.sequence() >= first && cursor.verify()) {
            event(cursor);
        } else if (found == spill::Found::end) {
            gap(Gap{std::max(expected, first), next - 1, GapReason::lost});
            return;
        } else if (cursor.expected() > std::max(expected, first)) {
            gap(Gap{std::max(expected, first), cursor.expected() - 1,
                    is_event ? cursor.reason_for(expected) : cursor.gap().reason});
        }
    }
}

/// Calls event(cursor) for each good event of [first, next) in the log that these segments are.
/// @throws FileError, Error
template <class OnEvent>
void for_each_event(Directory& directory, const layout::Uuid& topic,
                    const std::vector<Sequence>& segments, Sequence first, Sequence next,
                    OnEvent event) {
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const Sequence end = i + 1 < segments.size() ? std::min(segments[i + 1], next) : next;
        if (end <= first) continue;
        const auto file =
            directory.open(layout::segment_name(segments[i]), Directory::Access::read);
        const auto bytes = read_all(*file);
        auto cursor = spill::SegmentView(bytes, topic, segments[i]).seek(first);
        for_each_of(cursor, std::max(first, segments[i]), end, event, [](const Gap&) {});
    }
}

} // namespace shmbus::store
