// The bytes of a segment: one file of a topic's past on disk.
//
//     offset 0     SegmentHeader    twice, half a page apart: one flipped bit leaves the other good
//     4096         frames           one behind the other, each a multiple of 8 bytes
//     ...          zeros            up to the preallocated size; in a sealed segment a footer instead,
//                                   which ends the file
//
// A frame begins with a head that says what it is and how long, then what its kind always has, then
// its body:
//
//     FrameHead | EventHeader   | extension block, padded to 8 | payload, padded to 8
//     FrameHead | Tombstone
//     FrameHead | SyncPoint
//     FrameHead | FooterSummary | IndexEntry ... | FooterTrailer
//
// Two checksums: one of head and fixed part, so that the way to the next frame is good whatever became
// of the payload, and one of the body. The head's depends on the topic, the segment (its first sequence
// and its salt) and the offset, and covers the sequence and the body's checksum; the body's depends on
// topic, segment and sequence: a frame of another topic, segment, place or sequence never passes.
//
// A file is named after its first sequence: 20 digits, ".seg". Where two segments overlap, the one that
// begins later is right from its beginning on.
#pragma once

#include "layout/ring.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace shmbus::layout {

inline constexpr std::uint64_t segment_magic = 0x316d676573'6d6873; // "shmsegm1", little-endian
inline constexpr std::uint16_t segment_major = 1;
inline constexpr std::uint16_t segment_minor = 0;
inline constexpr std::size_t segment_header_bytes = page;
inline constexpr std::size_t segment_twin_offset = page / 2; // of the header's second copy
inline constexpr std::uint64_t max_sequence = ~std::uint64_t{0} >> 1U;

///      0  magic                8  major|minor|header bytes   16  topic uuid
///     32  first sequence      40  created      48  salt      56  max time before
///     64  durable through     72  lease through              80  capacity
///     88  reserved           120  checksum of all before it
struct SegmentHeader {
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t header_bytes; // frames begin here
    Uuid topic;
    std::uint64_t first;           // the first sequence it may contain
    std::uint64_t created_ns;      // CLOCK_REALTIME; for people
    std::uint64_t salt;            // random: no two files have one, not even of the same name
    std::uint64_t max_time_before; // the latest publish time of all events before `first`
    std::uint64_t durable_through; // when this was written, everything up to here was on disk ...
    std::uint64_t lease_through;   // ... and nothing beyond here had been handed out
    std::uint64_t capacity;        // bytes that were allocated
    std::array<std::uint8_t, 32> reserved;
    std::uint64_t checksum;
};
static_assert(offsetof(SegmentHeader, topic) == 16 && offsetof(SegmentHeader, first) == 32);
static_assert(offsetof(SegmentHeader, durable_through) == 64);
static_assert(offsetof(SegmentHeader, checksum) == 120 && sizeof(SegmentHeader) == 128);
static_assert(std::is_trivially_copyable_v<SegmentHeader>);

enum class FrameKind : std::uint8_t {
    event = 1,
    tombstone = 2,
    sync_point = 3,
    footer = 4,
}; // whoever meets another one steps over it

///      0  head checksum      8  body checksum    16  sequence
///     24  length            28  kind   29  reserved   30  head bytes
struct FrameHead {
    std::uint64_t head_checksum; // of what follows it, up to `head_bytes`
    std::uint64_t body_checksum; // of extension block and payload, or index and trailer
    std::uint64_t sequence;      // the event's; a tombstone's first; else the one expected next
    std::uint32_t length;        // of the whole frame
    FrameKind kind;
    std::uint8_t reserved;
    std::uint16_t head_bytes; // of head and fixed part
};
static_assert(sizeof(FrameHead) == 32 && offsetof(FrameHead, length) == 24);

/// These sequences, from the head's on, carry no event.
struct Tombstone {
    std::uint64_t last;
    std::uint8_t reason; // shmbus::GapReason
    std::array<std::uint8_t, 7> reserved;
};
static_assert(sizeof(Tombstone) == 16);

/// Written after a sync, on disk with the next one.
struct SyncPoint {
    std::uint64_t wall_ns;
    std::uint64_t durable_through;
    std::uint64_t lease_through;
};
static_assert(sizeof(SyncPoint) == 24);

/// What a sealed segment holds. Derived from the frames, never believed against them.
struct FooterSummary {
    std::uint64_t last;       // sequence; before the segment's first if there is none
    std::uint64_t events;     // how many
    std::uint64_t tombstoned; // sequences
    std::uint64_t min_time;   // of its events; all ones without any
    std::uint64_t max_time;   // of its events and all before them
    std::uint64_t durable_through;
    std::uint32_t entries; // in the index
    std::uint32_t reserved;
};
static_assert(sizeof(FooterSummary) == 56);

/// Where the first frame behind each index_stride bytes is.
struct IndexEntry {
    std::uint64_t sequence;
    std::uint64_t offset;
    std::uint64_t max_time_before; // the latest publish time of all events before it
};
static_assert(sizeof(IndexEntry) == 24);
inline constexpr std::uint64_t index_stride = 65'536;

/// The last bytes of a sealed file: how far back its footer begins.
struct FooterTrailer {
    std::uint32_t length; // of the footer
    std::uint32_t magic;
};
static_assert(sizeof(FooterTrailer) == 8);
inline constexpr std::uint32_t footer_magic = 0x646e6573; // "send", segment's end

inline constexpr std::size_t event_head_bytes = sizeof(FrameHead) + sizeof(EventHeader);
inline constexpr std::size_t tombstone_frame_bytes = sizeof(FrameHead) + sizeof(Tombstone);
inline constexpr std::size_t sync_point_frame_bytes = sizeof(FrameHead) + sizeof(SyncPoint);
inline constexpr std::size_t footer_head_bytes = sizeof(FrameHead) + sizeof(FooterSummary);
inline constexpr std::size_t max_head_bytes = 256;
static_assert(event_head_bytes == 88 && footer_head_bytes == 88);

constexpr std::uint64_t padded(std::uint64_t bytes) noexcept { return (bytes + 7) / 8 * 8; }
constexpr std::uint64_t event_frame_bytes(std::uint64_t extension, std::uint64_t payload) noexcept {
    return event_head_bytes + padded(extension) + padded(payload);
}
constexpr std::uint64_t footer_frame_bytes(std::uint64_t entries) noexcept {
    return footer_head_bytes + entries * sizeof(IndexEntry) + sizeof(FooterTrailer);
}

/// What ties checksums to one segment of one topic.
class SegmentSeed {
  public:
    SegmentSeed() noexcept = default;
    explicit SegmentSeed(const SegmentHeader& header) noexcept;
    /// @param head of head.size() == FrameHead::head_bytes bytes, of the frame at `offset`
    [[nodiscard]] std::uint64_t head_checksum(std::span<const std::byte> head,
                                              std::uint64_t offset) const noexcept;
    /// @param second of an event: its payload, without the padding; a footer's body is all in `first`
    [[nodiscard]] std::uint64_t body_checksum(std::span<const std::byte> first,
                                              std::span<const std::byte> second,
                                              std::uint64_t sequence) const noexcept;
    /// The same, of what base::checksum() makes of both.
    [[nodiscard]] std::uint64_t body_checksum(std::uint64_t first, std::uint64_t second,
                                              std::uint64_t sequence) const noexcept;

  private:
    std::uint64_t seed_ = 0;
};

/// The checksum that belongs into a header.
[[nodiscard]] std::uint64_t checksum_of(const SegmentHeader& header) noexcept;

[[nodiscard]] std::string segment_name(std::uint64_t first);
/// The first sequence in a segment's name; nothing for any other name.
[[nodiscard]] std::optional<std::uint64_t> segment_first(std::string_view name) noexcept;

} // namespace shmbus::layout
