#include "layout/frame_writer.hpp"

#include <cstring>

namespace shmbus::layout {

namespace {

void put(std::byte* to, std::span<const std::byte> bytes) noexcept {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
}

/// Bytes, and zeros up to the next multiple of 8; returns how much that is.
std::size_t put_padded(std::byte* to, std::span<const std::byte> bytes) noexcept {
    put(to, bytes);
    const auto end = static_cast<std::size_t>(padded(bytes.size()));
    for (std::size_t at = bytes.size(); at < end; ++at) to[at] = std::byte{0};
    return end;
}

template <class T> std::span<const std::byte> bytes_of(const T& object) noexcept {
    return std::as_bytes(std::span(&object, 1));
}

} // namespace

std::array<std::byte, segment_header_bytes> segment_header_page(SegmentHeader header) noexcept {
    header.magic = segment_magic;
    header.major = segment_major;
    header.minor = segment_minor;
    header.header_bytes = segment_header_bytes;
    header.checksum = checksum_of(header);
    std::array<std::byte, segment_header_bytes> bytes{};
    put(bytes.data(), bytes_of(header));
    put(bytes.data() + segment_twin_offset, bytes_of(header));
    return bytes;
}

void FrameWriter::head(std::byte* to, std::uint64_t offset, FrameHead head,
                       std::span<const std::byte> fixed) const noexcept {
    head.head_bytes = static_cast<std::uint16_t>(sizeof head + fixed.size());
    put(to, bytes_of(head));
    put(to + sizeof head, fixed);
    head.head_checksum = seed_.head_checksum({to, head.head_bytes}, offset);
    put(to, bytes_of(head.head_checksum));
}

std::size_t FrameWriter::event_without_payload(std::byte* to, std::uint64_t offset,
                                               const EventFrame& event) const noexcept {
    EventHeader header = event.header;
    header.length = static_cast<std::uint32_t>(event.payload.size());
    header.extension = static_cast<std::uint16_t>(event.extension.size());
    header.chunk = no_chunk;
    FrameHead frame{};
    frame.body_checksum = seed_.body_checksum(event.extension, event.payload, event.sequence);
    frame.sequence = event.sequence;
    frame.length = static_cast<std::uint32_t>(event.bytes());
    frame.kind = FrameKind::event;
    head(to, offset, frame, bytes_of(header));
    return event_head_bytes + put_padded(to + event_head_bytes, event.extension);
}

void FrameWriter::event(std::byte* to, std::uint64_t offset,
                        const EventFrame& event) const noexcept {
    put_padded(to + event_without_payload(to, offset, event), event.payload);
}

void FrameWriter::tombstone(std::byte* to, std::uint64_t offset, std::uint64_t first,
                            const Tombstone& tombstone) const noexcept {
    FrameHead frame{};
    frame.sequence = first;
    frame.length = tombstone_frame_bytes;
    frame.kind = FrameKind::tombstone;
    head(to, offset, frame, bytes_of(tombstone));
}

void FrameWriter::sync_point(std::byte* to, std::uint64_t offset, std::uint64_t next,
                             const SyncPoint& point) const noexcept {
    FrameHead frame{};
    frame.sequence = next;
    frame.length = sync_point_frame_bytes;
    frame.kind = FrameKind::sync_point;
    head(to, offset, frame, bytes_of(point));
}

void FrameWriter::footer(std::byte* to, std::uint64_t offset, std::uint64_t next,
                         FooterSummary summary, std::span<const IndexEntry> index) const noexcept {
    summary.entries = static_cast<std::uint32_t>(index.size());
    FrameHead frame{};
    frame.sequence = next;
    frame.length = static_cast<std::uint32_t>(footer_frame_bytes(index.size()));
    frame.kind = FrameKind::footer;
    std::byte* body = to + footer_head_bytes;
    put(body, std::as_bytes(index));
    put(body + index.size_bytes(), bytes_of(FooterTrailer{frame.length, footer_magic}));
    frame.body_checksum =
        seed_.body_checksum({body, frame.length - footer_head_bytes}, {}, frame.sequence);
    head(to, offset, frame, bytes_of(summary));
}

} // namespace shmbus::layout
