// Writes frames of one segment into memory: what spill/frame_cursor.hpp reads.
#pragma once

#include "layout/segment.hpp"

#include <cstring>

namespace shmbus::layout {

/// What an event's frame is made of.
struct EventFrame {
    std::uint64_t sequence = 0;
    EventHeader header{}; // length, extension and chunk need not be set
    std::span<const std::byte> extension = {};
    std::span<const std::byte> payload = {};
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        return event_frame_bytes(extension.size(), payload.size());
    }
};

/// Both copies of a header, its checksum put in: segment_header_bytes of them. The caller has filled in
/// what is not the same in every header of this version.
[[nodiscard]] std::array<std::byte, segment_header_bytes>
segment_header_page(SegmentHeader header) noexcept;

// A frame that belongs to no segment yet: all of it but the checksums, whose place what goes into them has
// for now. FrameWriter::seal() makes a frame of it.
/// event.bytes() of them; what is in its place at `to` already is not copied.
void prepare(std::byte* to, const EventFrame& event) noexcept;
/// tombstone_frame_bytes of them.
void prepare(std::byte* to, std::uint64_t first, const Tombstone& tombstone) noexcept;

[[nodiscard]] inline FrameHead head_of(const std::byte* frame) noexcept {
    FrameHead head;
    std::memcpy(&head, frame, sizeof head);
    return head;
}

/// Every function writes a frame that is to lie at `offset` of its file; `to` has room for it.
class FrameWriter {
  public:
    FrameWriter() noexcept = default;
    explicit FrameWriter(const SegmentHeader& header) noexcept : seed_(header) {}

    /// Makes a frame of a prepared one, where it is.
    void seal(std::byte* prepared, std::uint64_t offset) const noexcept;
    /// event.bytes() of them.
    void event(std::byte* to, std::uint64_t offset, const EventFrame& event) const noexcept;
    void tombstone(std::byte* to, std::uint64_t offset, std::uint64_t first,
                   const Tombstone& tombstone) const noexcept;
    void sync_point(std::byte* to, std::uint64_t offset, std::uint64_t next,
                    const SyncPoint& point) const noexcept;
    /// footer_frame_bytes(index.size()) of them; the summary's number of entries is put in.
    void footer(std::byte* to, std::uint64_t offset, std::uint64_t next, FooterSummary summary,
                std::span<const IndexEntry> index) const noexcept;

  private:
    SegmentSeed seed_;
};

} // namespace shmbus::layout
