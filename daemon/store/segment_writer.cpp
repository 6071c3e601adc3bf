#include "daemon/store/segment_writer.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

namespace shmbus::store {

namespace {

/// Frames that are not more together go into one write.
constexpr std::size_t gathered_bytes = std::size_t{64} << 10U;

/// The largest footer that a segment of this size can get.
std::uint64_t footer_room(std::uint64_t capacity) noexcept {
    return layout::footer_frame_bytes(capacity / layout::index_stride + 1);
}

} // namespace

std::uint64_t capacity_for(std::uint64_t frame_bytes) noexcept {
    const std::uint64_t content =
        layout::segment_header_bytes + frame_bytes + layout::sync_point_frame_bytes;
    // One page more for the index entries of the footer's own room.
    const std::uint64_t bytes = content + footer_room(content) + layout::page;
    return (bytes + layout::page - 1) / layout::page * layout::page;
}

SegmentWriter::SegmentWriter(std::unique_ptr<File> file, const layout::SegmentHeader& header)
    : file_(std::move(file)), header_(header), frames_(header), last_(header.first - 1),
      written_(last_), max_time_(header.max_time_before),
      written_max_time_(header.max_time_before) {
    summary_.min_time = ~std::uint64_t{0};
}

bool SegmentWriter::has_room(std::uint64_t frame_bytes) const noexcept {
    return bytes() + frame_bytes + footer_room(header_.capacity) <= header_.capacity;
}

std::size_t SegmentWriter::append(std::span<std::byte> frames) {
    make_room(frames.size());
    std::size_t taken = 0;
    while (taken < frames.size()) {
        std::byte* const frame = frames.data() + taken;
        const auto head = layout::head_of(frame);
        if (!has_room(taken + head.length)) break;
        take(frame, head, bytes() + taken);
        taken += head.length;
    }
    put(frames.first(taken));
    return taken;
}

/// Seals one, which is to be at `offset`, and notes what is in it.
void SegmentWriter::take(std::byte* frame, const layout::FrameHead& head, std::uint64_t offset) {
    assert(head.sequence == last_ + 1);
    frames_.seal(frame, offset);
    if (index_.empty() || offset - index_.back().offset >= layout::index_stride)
        index_.push_back({head.sequence, offset, max_time_});
    if (head.kind == layout::FrameKind::tombstone) {
        layout::Tombstone tombstone;
        std::memcpy(&tombstone, frame + sizeof head, sizeof tombstone);
        last_ = tombstone.last;
        summary_.tombstoned += last_ - head.sequence + 1;
        return;
    }
    layout::EventHeader event;
    std::memcpy(&event, frame + sizeof head, sizeof event);
    last_ = head.sequence;
    max_time_ = std::max(max_time_, event.time_ns);
    summary_.min_time = std::min(summary_.min_time, event.time_ns);
    summary_.events += 1;
}

void SegmentWriter::append(const layout::SyncPoint& point) {
    if (!has_room(layout::sync_point_frame_bytes)) return;
    make_room(layout::sync_point_frame_bytes);
    std::array<std::byte, layout::sync_point_frame_bytes> frame;
    frames_.sync_point(frame.data(), bytes(), last_ + 1, point);
    put(frame);
}

/// In the buffer, for what is about to be appended.
void SegmentWriter::make_room(std::size_t bytes) {
    if (buffer_.size() + bytes > gathered_bytes) flush();
}

/// What is large is written from where it is.
void SegmentWriter::put(std::span<const std::byte> frames) {
    if (frames.size() > gathered_bytes)
        write(frames);
    else
        buffer_.insert(buffer_.end(), frames.begin(), frames.end());
}

void SegmentWriter::flush() {
    if (buffer_.empty()) return;
    write(buffer_);
    buffer_.clear();
}

/// Everything up to last_.
void SegmentWriter::write(std::span<const std::byte> bytes) {
    dirty_ = true;
    file_->write_at(bytes, offset_);
    offset_ += bytes.size();
    written_ = last_;
    written_max_time_ = max_time_;
}

void SegmentWriter::sync() {
    flush();
    if (!dirty_) return;
    doubtful_ = true;
    file_->sync_data();
    doubtful_ = dirty_ = false;
}

void SegmentWriter::seal(Sequence durable_through) {
    flush();
    summary_.last = last_;
    summary_.max_time = max_time_;
    summary_.durable_through = durable_through;
    std::vector<std::byte> footer(layout::footer_frame_bytes(index_.size()));
    frames_.footer(footer.data(), offset_, last_ + 1, summary_, index_);
    dirty_ = true;
    file_->write_at(footer, offset_);
    offset_ += footer.size();
    file_->truncate(offset_);
}

} // namespace shmbus::store
