#include "daemon/store/segment_writer.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

namespace shmbus::store {

namespace {

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

/// Space for a frame at the end of the buffer, which is emptied first if there is none.
std::byte* SegmentWriter::room(std::uint64_t bytes) {
    assert(bytes <= write_bytes);
    if (buffered_ + bytes > write_bytes) flush();
    if (buffered_ + bytes > buffer_bytes_) {
        // Grows with use: most topics never need much.
        const std::size_t larger =
            std::min(write_bytes, std::max<std::size_t>(2 * buffer_bytes_, buffered_ + bytes));
        auto buffer = std::make_unique_for_overwrite<std::byte[]>(larger);
        if (buffered_ != 0) std::memcpy(buffer.get(), buffer_.get(), buffered_);
        buffer_ = std::move(buffer);
        buffer_bytes_ = larger;
    }
    return buffer_.get() + buffered_;
}

/// An entry of the index for what is appended next, if it is time for one; the sequences are in.
void SegmentWriter::note(Sequence first, Sequence last) {
    if (index_.empty() || bytes() - index_.back().offset >= layout::index_stride)
        index_.push_back({first, bytes(), max_time_});
    last_ = last;
}

void SegmentWriter::append(const layout::EventFrame& event) {
    const std::uint64_t size = event.bytes();
    assert(has_room(size) && event.sequence == last_ + 1);
    if (size > write_bytes) {
        append_large(event);
    } else {
        std::byte* to = room(size);
        frames_.event(to, bytes(), event);
        note(event.sequence, event.sequence);
        buffered_ += size;
    }
    max_time_ = std::max(max_time_, event.header.time_ns);
    summary_.min_time = std::min(summary_.min_time, event.header.time_ns);
    summary_.events += 1;
}

/// Its payload is written from where it is. Its padding is there: a preallocated file is zeros.
void SegmentWriter::append_large(const layout::EventFrame& event) {
    flush();
    const std::uint64_t begin = offset_;
    std::byte* to = room(layout::event_head_bytes + layout::padded(event.extension.size()));
    buffered_ = frames_.event_without_payload(to, begin, event);
    flush();
    file_->write_at(event.payload, offset_);
    offset_ = begin;
    note(event.sequence, event.sequence);
    offset_ = begin + event.bytes();
    written_ = last_;
    written_max_time_ = std::max(max_time_, event.header.time_ns);
}

void SegmentWriter::append(Sequence first, Sequence last, GapReason reason) {
    assert(has_room(layout::tombstone_frame_bytes) && first == last_ + 1 && last >= first);
    std::byte* to = room(layout::tombstone_frame_bytes);
    frames_.tombstone(to, bytes(), first, {last, static_cast<std::uint8_t>(reason), {}});
    note(first, last);
    buffered_ += layout::tombstone_frame_bytes;
    summary_.tombstoned += last - first + 1;
}

void SegmentWriter::append(const layout::SyncPoint& point) {
    if (!has_room(layout::sync_point_frame_bytes)) return;
    std::byte* to = room(layout::sync_point_frame_bytes);
    frames_.sync_point(to, bytes(), last_ + 1, point);
    buffered_ += layout::sync_point_frame_bytes;
}

void SegmentWriter::flush() {
    if (buffered_ == 0) return;
    dirty_ = true;
    file_->write_at({buffer_.get(), buffered_}, offset_);
    offset_ += buffered_;
    buffered_ = 0;
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
