#include "spill/frame_cursor.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace shmbus::spill {

using layout::FrameHead;
using layout::FrameKind;

namespace {

bool is_zero(std::span<const std::byte> bytes) noexcept {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// Quick, for whole pages.
bool is_zero_page(const std::byte* at) noexcept {
    std::array<std::uint64_t, layout::page / 8> words;
    std::memcpy(words.data(), at, layout::page);
    std::uint64_t any = 0;
    for (const auto word : words) any |= word;
    return any == 0;
}

/// What any head must look like: tells nearly all other bytes apart without a checksum.
bool may_be_head(const FrameHead& head) noexcept {
    return head.reserved == 0 && head.head_bytes >= sizeof head &&
           head.head_bytes <= layout::max_head_bytes && head.head_bytes % 8 == 0 &&
           head.length >= head.head_bytes && head.length % 8 == 0;
}

/// The checksum is right; but not everybody who can compute one means well.
bool is_consistent(const Frame& frame) noexcept {
    const auto& head = frame.head;
    const auto has = [&](std::size_t fixed) { return head.head_bytes >= sizeof head + fixed; };
    switch (head.kind) {
    case FrameKind::event:
        return has(sizeof(layout::EventHeader)) && head.sequence <= layout::max_sequence &&
               head.length == head.head_bytes + layout::padded(frame.fixed.event.extension) +
                                  layout::padded(frame.fixed.event.length);
    case FrameKind::tombstone:
        return has(sizeof(layout::Tombstone)) && head.length == head.head_bytes &&
               frame.fixed.tombstone.last >= head.sequence &&
               frame.fixed.tombstone.last <= layout::max_sequence;
    case FrameKind::sync_point:
        return has(sizeof(layout::SyncPoint)) && head.length == head.head_bytes &&
               frame.fixed.sync.durable_through < head.sequence;
    case FrameKind::footer:
        return has(sizeof(layout::FooterSummary)) &&
               frame.fixed.footer.durable_through < head.sequence &&
               head.length ==
                   head.head_bytes + sizeof(layout::FooterTrailer) +
                       std::uint64_t{frame.fixed.footer.entries} * sizeof(layout::IndexEntry);
    }
    return true; // of a newer minor version
}

/// One that begins with what is known of it already, and is longer: of a newer minor version.
bool is_good_longer_head(std::span<const std::byte> bytes, std::uint64_t offset,
                         const layout::SegmentSeed& seed,
                         std::span<const std::byte> begin) noexcept {
    std::array<std::byte, layout::max_head_bytes> copy;
    std::memcpy(copy.data(), begin.data(), begin.size());
    std::memcpy(copy.data() + begin.size(), bytes.data() + begin.size(),
                bytes.size() - begin.size());
    FrameHead head;
    std::memcpy(&head, copy.data(), sizeof head);
    return seed.head_checksum({copy.data(), bytes.size()}, offset) == head.head_checksum;
}

} // namespace

bool parse_frame(std::span<const std::byte> bytes, std::uint64_t offset,
                 const layout::SegmentSeed& seed, Sequence sequence, Frame& frame) noexcept {
    if (bytes.size() < sizeof(FrameHead)) return false;
    constexpr std::size_t known = sizeof(FrameHead) + sizeof(Frame::Fixed);
    std::byte* const copy = reinterpret_cast<std::byte*>(&frame) + offsetof(Frame, head);
    if (bytes.size() >= known)
        std::memcpy(copy, bytes.data(), known); // all at once, as this is done for every frame
    else
        std::memcpy(copy, bytes.data(), bytes.size());
    const auto& head = frame.head;
    if (!may_be_head(head) || head.sequence < sequence ||
        head.sequence > layout::max_sequence + 1 || head.head_bytes > bytes.size())
        return false;
    const bool is_good =
        head.head_bytes <= known
            ? seed.head_checksum({copy, head.head_bytes}, offset) == head.head_checksum
            : is_good_longer_head(bytes.first(head.head_bytes), offset, seed, {copy, known});
    frame.offset = offset;
    return is_good && is_consistent(frame);
}

bool parse_footer(std::span<const std::byte> tail, std::uint64_t file_bytes,
                  const layout::SegmentSeed& seed, Sequence sequence, Frame& frame) noexcept {
    layout::FooterTrailer trailer;
    if (tail.size() < sizeof trailer) return false;
    std::memcpy(&trailer, tail.data() + tail.size() - sizeof trailer, sizeof trailer);
    return trailer.magic == layout::footer_magic && trailer.length <= tail.size() &&
           parse_frame(tail.last(trailer.length), file_bytes - trailer.length, seed, sequence,
                       frame) &&
           frame.head.kind == FrameKind::footer && frame.head.length == trailer.length;
}

FrameCursor::FrameCursor(std::span<const std::byte> file, const layout::SegmentHeader& header,
                         const Extent& extent) noexcept
    : file_(file), seed_(header), position_(header.header_bytes), expected_(header.first),
      end_(extent.end),
      durable_through_(
          std::max(extent.durable_through, std::min(header.durable_through, header.first - 1))),
      max_time_(header.max_time_before) {}

Found FrameCursor::next() noexcept {
    for (;;) {
        if (expected_ >= end_) return Found::end;
        if (!parse(position_, frame_)) return damage();
        if (frame_.head.sequence > expected_) return lose(frame_.head.sequence - 1);
        const Found found = accept();
        if (found != Found::end) return found;
    }
}

/// Whether a frame begins there: it could be what comes next, or something behind it.
bool FrameCursor::parse(std::uint64_t at, Frame& frame) const noexcept {
    return at <= file_.size() && parse_frame(file_.subspan(at), at, seed_, expected_, frame);
}

/// Takes the next frame in turn; `end` if it was one to step over.
Found FrameCursor::accept() noexcept {
    const auto& [offset, head, fixed] = frame_;
    position_ = std::min<std::uint64_t>(file_.size(), offset + head.length);
    switch (head.kind) {
    case FrameKind::event:
        expected_ = head.sequence + 1;
        max_time_ = std::max(max_time_, fixed.event.time_ns);
        return Found::event;
    case FrameKind::tombstone:
        gap_ = {head.sequence, std::min(fixed.tombstone.last, end_ - 1),
                static_cast<GapReason>(fixed.tombstone.reason)};
        expected_ = gap_.last + 1;
        return Found::tombstone;
    case FrameKind::sync_point:
        durable_through_ = std::max(durable_through_, fixed.sync.durable_through);
        return Found::sync_point;
    case FrameKind::footer:
        durable_through_ = std::max(durable_through_, fixed.footer.durable_through);
        return Found::footer;
    }
    return Found::end;
}

/// There is no frame where one should be.
Found FrameCursor::damage() noexcept {
    Frame frame;
    if (find(position_ + 8, frame)) {
        position_ = frame.offset;
        return lose(frame.head.sequence - 1);
    }
    const auto rest = file_.subspan(std::min<std::size_t>(position_, file_.size()));
    if (end_ == unknown_end && expected_ > durable_through_ && is_zero(rest)) return Found::end;
    position_ = file_.size();
    return lose(end_ == unknown_end ? durable_through_ : end_ - 1);
}

bool FrameCursor::find(std::uint64_t from, Frame& frame) const noexcept {
    for (std::uint64_t at = from; at + sizeof(FrameHead) <= file_.size();) {
        if (parse(at, frame)) return true;
        at += 8;
        while (at % layout::page == 0 && at + layout::page <= file_.size() &&
               is_zero_page(file_.data() + at))
            at += layout::page;
    }
    return false;
}

/// What is expected, up to `through`, is not there; it may be none at all.
Found FrameCursor::lose(Sequence through) noexcept {
    if (expected_ > durable_through_ && !looked_ahead_) look_ahead();
    through = std::max(std::min(through, end_ - 1), expected_ - 1);
    gap_ = {expected_, through, reason_for(expected_)};
    expected_ = through + 1;
    frame_.offset = position_;
    return Found::damaged;
}

/// The sync points behind a damage say whether it had been on disk.
void FrameCursor::look_ahead() noexcept {
    FrameCursor ahead = *this;
    ahead.looked_ahead_ = true;
    ahead.end_ = unknown_end;
    while (ahead.next() != Found::end) {
    }
    durable_through_ = ahead.durable_through_;
    looked_ahead_ = true;
}

Bytes FrameCursor::footer_index() const noexcept {
    if (!has_body()) return {};
    const Bytes bytes = body();
    if (seed_.body_checksum(bytes, {}, frame_.head.sequence) != frame_.head.body_checksum)
        return {};
    return bytes.first(bytes.size() - sizeof(layout::FooterTrailer));
}

bool FrameCursor::verify() const noexcept {
    return has_body() &&
           seed_.body_checksum(extension(), payload(), sequence()) == frame_.head.body_checksum;
}

bool FrameCursor::jump(const layout::IndexEntry& to) noexcept {
    Frame frame;
    if (to.offset % 8 != 0 || !parse(to.offset, frame) || frame.head.sequence != to.sequence)
        return false;
    position_ = to.offset;
    expected_ = to.sequence;
    max_time_ = std::max(max_time_, to.max_time_before);
    return true;
}

bool FrameCursor::jump_to_footer() noexcept {
    Frame frame;
    if (file_.size() < position_ ||
        !parse_footer(file_.subspan(position_), file_.size(), seed_, expected_, frame))
        return false;
    frame_ = frame;
    accept();
    return true;
}

} // namespace shmbus::spill
