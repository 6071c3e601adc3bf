#include "layout/frame_writer.hpp"

#include "base/hash.hpp"

namespace shmbus::layout {

namespace {

void put(std::byte* to, std::span<const std::byte> bytes) noexcept {
    if (!bytes.empty() && bytes.data() != to) std::memcpy(to, bytes.data(), bytes.size());
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

void put_head(std::byte* to, FrameHead head, std::span<const std::byte> fixed) noexcept {
    head.head_bytes = static_cast<std::uint16_t>(sizeof head + fixed.size());
    put(to, bytes_of(head));
    put(to + sizeof head, fixed);
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

void prepare(std::byte* to, const EventFrame& event) noexcept {
    EventHeader header = event.header;
    header.length = static_cast<std::uint32_t>(event.payload.size());
    header.extension = static_cast<std::uint16_t>(event.extension.size());
    header.chunk = no_chunk;
    std::byte* const extension = to + event_head_bytes;
    std::byte* const payload = extension + put_padded(extension, event.extension);
    put_padded(payload, event.payload);
    FrameHead head{};
    head.head_checksum = base::checksum({extension, event.extension.size()});
    head.body_checksum = base::checksum({payload, event.payload.size()});
    head.sequence = event.sequence;
    head.length = static_cast<std::uint32_t>(event.bytes());
    head.kind = FrameKind::event;
    put_head(to, head, bytes_of(header));
}

void prepare(std::byte* to, std::uint64_t first, const Tombstone& tombstone) noexcept {
    FrameHead head{};
    head.sequence = first;
    head.length = tombstone_frame_bytes;
    head.kind = FrameKind::tombstone;
    put_head(to, head, bytes_of(tombstone));
}

void FrameWriter::seal(std::byte* prepared, std::uint64_t offset) const noexcept {
    FrameHead head = head_of(prepared);
    if (head.kind == FrameKind::event) {
        head.body_checksum =
            seed_.body_checksum(head.head_checksum, head.body_checksum, head.sequence);
        put(prepared + offsetof(FrameHead, body_checksum), bytes_of(head.body_checksum));
    }
    head.head_checksum = seed_.head_checksum({prepared, head.head_bytes}, offset);
    put(prepared, bytes_of(head.head_checksum));
}

void FrameWriter::event(std::byte* to, std::uint64_t offset,
                        const EventFrame& event) const noexcept {
    prepare(to, event);
    seal(to, offset);
}

void FrameWriter::tombstone(std::byte* to, std::uint64_t offset, std::uint64_t first,
                            const Tombstone& tombstone) const noexcept {
    prepare(to, first, tombstone);
    seal(to, offset);
}

void FrameWriter::sync_point(std::byte* to, std::uint64_t offset, std::uint64_t next,
                             const SyncPoint& point) const noexcept {
    FrameHead frame{};
    frame.sequence = next;
    frame.length = sync_point_frame_bytes;
    frame.kind = FrameKind::sync_point;
    put_head(to, frame, bytes_of(point));
    seal(to, offset);
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
    put_head(to, frame, bytes_of(summary));
    seal(to, offset);
}

} // namespace shmbus::layout
