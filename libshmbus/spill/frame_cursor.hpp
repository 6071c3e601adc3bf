// Goes through the frames of one segment, whatever became of its bytes.
//
// Nothing found there is followed before a checksum says that it is what was written: neither a length
// nor a sequence. A head is checked always, and on a private copy; a body only when asked for, so that
// who looks for something hops from head to head. Where a frame is damaged the way on is looked for at
// every eighth byte, and the sequence found there says exactly what lies in between.
//
// The segment answers for the sequences of an extent, and for each of them exactly once: as an event,
// in a tombstone, or in the gap of a damage. What is missing is `corrupt` if it was on disk for sure
// (at or below durable_through), else it was never finished: `lost`.
#pragma once

#include "layout/segment.hpp"
#include "shmbus/types.hpp"

#include <span>

namespace shmbus::spill {

inline constexpr Sequence unknown_end = layout::max_sequence + 1;

/// What is known of a segment from elsewhere.
struct Extent {
    /// All sequences from its first one up to this one, exclusive, must be in it; what it has beyond
    /// is not looked at. The next segment's first, or what has been written plus one; unknown only
    /// to whoever recovers a segment, who looks behind every hole for more.
    Sequence end = unknown_end;
    Sequence durable_through = 0;
};

enum class Found : std::uint8_t {
    event,
    tombstone,
    sync_point,
    footer,
    damaged, // gap() says what is lost by it: nothing, too, when last < first
    end,
};

/// A frame whose head is good: a copy, as others may write to the file meanwhile.
struct Frame {
    std::uint64_t offset;
    layout::FrameHead head;
    union Fixed {
        layout::EventHeader event;
        layout::Tombstone tombstone;
        layout::SyncPoint sync;
        layout::FooterSummary footer;
    } fixed; // of these what the kind has; else anything
};
static_assert(offsetof(Frame, fixed) ==
              offsetof(Frame, head) + sizeof(layout::FrameHead)); // as in the file
/// Whether `bytes`, which lie at `offset` of their file, begin with a frame, of `sequence` or later.
[[nodiscard]] bool parse_frame(std::span<const std::byte> bytes, std::uint64_t offset,
                               const layout::SegmentSeed& seed, Sequence sequence,
                               Frame& frame) noexcept;
/// The footer at the end of `tail`, the last bytes of a file of `file_bytes`.
[[nodiscard]] bool parse_footer(std::span<const std::byte> tail, std::uint64_t file_bytes,
                                const layout::SegmentSeed& seed, Sequence sequence,
                                Frame& frame) noexcept;

class FrameCursor {
  public:
    FrameCursor() noexcept = default;
    /// At the first frame of a file with this header. @pre the header has been checked
    FrameCursor(std::span<const std::byte> file, const layout::SegmentHeader& header,
                const Extent& extent) noexcept;

    Found next() noexcept;

    // Of what next() found:
    [[nodiscard]] std::uint64_t offset() const noexcept { return frame_.offset; }
    [[nodiscard]] Sequence sequence() const noexcept { return frame_.head.sequence; }
    [[nodiscard]] const layout::EventHeader& event() const noexcept { return frame_.fixed.event; }
    /// An event's bytes; empty if the file ends before they do.
    [[nodiscard]] Bytes extension() const noexcept {
        return has_body() ? body().first(event().extension) : Bytes();
    }
    [[nodiscard]] Bytes payload() const noexcept {
        return has_body() ? body().subspan(layout::padded(event().extension), event().length)
                          : Bytes();
    }
    /// Whether the event's extension block and payload are what was written.
    [[nodiscard]] bool verify() const noexcept;
    /// A tombstone's, or a damage's.
    [[nodiscard]] const Gap& gap() const noexcept { return gap_; }
    [[nodiscard]] const layout::SyncPoint& sync_point() const noexcept { return frame_.fixed.sync; }
    [[nodiscard]] const layout::FooterSummary& footer() const noexcept {
        return frame_.fixed.footer;
    }
    [[nodiscard]] Bytes footer_index() const noexcept;

    // Of all up to here:
    [[nodiscard]] Sequence expected() const noexcept { return expected_; }
    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
    [[nodiscard]] std::uint64_t max_time() const noexcept { return max_time_; }
    [[nodiscard]] Sequence durable_through() const noexcept { return durable_through_; }
    /// What a sequence is whose bytes are bad.
    [[nodiscard]] GapReason reason_for(Sequence s) const noexcept {
        return s <= durable_through_ ? GapReason::corrupt : GapReason::lost;
    }

    /// Goes to a frame that an index names; stays and returns false if it is not there.
    bool jump(const layout::IndexEntry& to) noexcept;
    /// Goes to the footer; false if the file does not end with one.
    bool jump_to_footer() noexcept;

  private:
    [[nodiscard]] bool parse(std::uint64_t at, Frame& frame) const noexcept;
    [[nodiscard]] bool find(std::uint64_t from, Frame& frame) const noexcept;
    [[nodiscard]] bool has_body() const noexcept {
        return frame_.head.length <= file_.size() - frame_.offset;
    }
    [[nodiscard]] Bytes body() const noexcept {
        return file_.subspan(frame_.offset + frame_.head.head_bytes,
                             frame_.head.length - frame_.head.head_bytes);
    }
    Found accept() noexcept;
    Found damage() noexcept;
    Found lose(Sequence through) noexcept;
    void look_ahead() noexcept;

    std::span<const std::byte> file_;
    layout::SegmentSeed seed_;
    std::uint64_t position_ = 0;
    Sequence expected_ = 0;
    Sequence end_ = 0;
    Sequence durable_through_ = 0;
    std::uint64_t max_time_ = 0;
    bool looked_ahead_ = false; // durable_through_ is the largest of the whole file
    Frame frame_{};
    Gap gap_;
};

} // namespace shmbus::spill
