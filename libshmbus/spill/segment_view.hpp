// One segment: a span of bytes that claims to be a file of a topic's past.
#pragma once

#include "spill/frame_cursor.hpp"

#include <optional>

namespace shmbus::spill {

/// The header of the segment that begins with `first`, from the first page of its file.
/// @throws Error: damaged when it is no segment, or not that one; incompatible when it is newer
[[nodiscard]] layout::SegmentHeader checked_header(std::span<const std::byte> file, Sequence first);
/// The same, of this topic alone.
[[nodiscard]] layout::SegmentHeader checked_header(std::span<const std::byte> file,
                                                   const layout::Uuid& topic, Sequence first);

/// What a sealed segment says of itself, from the last bytes of its file; nothing if they are too few, or
/// it is not sealed.
[[nodiscard]] std::optional<layout::FooterSummary>
footer_in(std::span<const std::byte> tail, std::uint64_t file_bytes,
          const layout::SegmentHeader& header) noexcept;

class SegmentView {
  public:
    /// @throws as checked_header()
    SegmentView(std::span<const std::byte> file, const layout::Uuid& topic, Sequence first,
                const Extent& extent = {})
        : file_(file), header_(checked_header(file, topic, first)), extent_(extent) {}

    [[nodiscard]] const layout::SegmentHeader& header() const noexcept { return header_; }
    [[nodiscard]] std::optional<layout::FooterSummary> footer() const noexcept {
        return footer_in(file_, file_.size(), header_);
    }

    /// At the first frame.
    [[nodiscard]] FrameCursor begin() const noexcept { return {file_, header_, extent_}; }
    /// At the first frame with anything at or behind `s`; at the end without one.
    [[nodiscard]] FrameCursor seek(Sequence s) const noexcept;
    /// Before the first event published at or after `time_ns`, and before a gap before that: it may have been
    /// there. Behind the last event without one. In the last segment whose max_time_before is less than that, it
    /// is the topic's first.
    [[nodiscard]] FrameCursor seek_time(std::uint64_t time_ns) const noexcept;

  private:
    template <class IsBefore> [[nodiscard]] FrameCursor near(IsBefore is_before) const noexcept;
    std::span<const std::byte> file_;
    layout::SegmentHeader header_;
    Extent extent_;
};

/// Which of `count` segments to seek_time() in: the last one whose header's max_time_before, which is what
/// the function tells of the i-th, is less. The first one if there is none. Asks of few.
template <class MaxTimeBefore>
[[nodiscard]] std::size_t segment_at_time(std::size_t count, MaxTimeBefore max_time_before,
                                          std::uint64_t time_ns) {
    std::size_t low = 0; // it is not before this one
    std::size_t high = count;
    while (high - low > 1) {
        const std::size_t middle = low + (high - low) / 2;
        (max_time_before(middle) < time_ns ? low : high) = middle;
    }
    return low;
}

} // namespace shmbus::spill
