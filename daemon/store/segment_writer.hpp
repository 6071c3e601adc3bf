// Writes one segment: gathers small frames in memory, and puts them into the file in larger pieces.
//
// Everything throws FileError when the disk does not do as it should; the file must not be written to any
// more then.
#pragma once

#include "daemon/store/files.hpp"
#include "layout/frame_writer.hpp"
#include "shmbus/types.hpp"

namespace shmbus::store {

/// What a segment needs whose largest frame is this.
[[nodiscard]] std::uint64_t capacity_for(std::uint64_t frame_bytes) noexcept;

class SegmentWriter {
  public:
    /// The header is in the file already; the file is header.capacity bytes long.
    SegmentWriter(std::unique_ptr<File> file, const layout::SegmentHeader& header);

    [[nodiscard]] Sequence first() const noexcept { return header_.first; }
    /// The last sequence in it, and the last one in the file; first() - 1 when there is none.
    [[nodiscard]] Sequence last() const noexcept { return last_; }
    [[nodiscard]] Sequence written() const noexcept { return written_; }
    /// The latest publish time of all events up to last(), and up to written().
    [[nodiscard]] std::uint64_t max_time() const noexcept { return max_time_; }
    [[nodiscard]] std::uint64_t written_max_time() const noexcept { return written_max_time_; }
    [[nodiscard]] std::uint64_t capacity() const noexcept { return header_.capacity; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return offset_ + buffer_.size(); }
    [[nodiscard]] std::uint64_t written_bytes() const noexcept { return offset_; }
    [[nodiscard]] bool is_half_full() const noexcept { return bytes() >= header_.capacity / 2; }
    /// Whether such a frame, and the footer after it, are inside what was allocated.
    [[nodiscard]] bool has_room(std::uint64_t frame_bytes) const noexcept;
    /// Whether a sync of it has failed.
    [[nodiscard]] bool is_doubtful() const noexcept { return doubtful_; }

    /// Seals as many prepared frames, whose sequences are next in turn, as there is room for, and appends
    /// them; how many bytes that is.
    std::size_t append(std::span<std::byte> frames);
    /// Left out when there is no room: whoever recovers looks at more, no worse.
    void append(const layout::SyncPoint& point);

    void flush();
    /// Everything appended is on disk when this has returned.
    void sync();
    /// Writes the footer and cuts off what is behind it; nothing can be appended any more.
    void seal(Sequence durable_through);

  private:
    void make_room(std::size_t bytes);
    void take(std::byte* frame, const layout::FrameHead& head, std::uint64_t offset);
    void put(std::span<const std::byte> frames);
    void write(std::span<const std::byte> bytes);

    std::unique_ptr<File> file_;
    layout::SegmentHeader header_;
    layout::FrameWriter frames_;
    std::vector<std::byte> buffer_;
    std::uint64_t offset_ = layout::segment_header_bytes; // of the buffer in the file
    bool doubtful_ = false;
    bool dirty_ = false; // written, not synced
    Sequence last_;
    Sequence written_;
    std::uint64_t max_time_;
    std::uint64_t written_max_time_;
    layout::FooterSummary summary_{};
    std::vector<layout::IndexEntry> index_;
};

} // namespace shmbus::store
