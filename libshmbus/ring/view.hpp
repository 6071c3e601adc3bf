// A ring and its readers object as typed references into two spans of bytes.
//
// The only place that turns bytes into structs. A view is made once, from bytes that were checked
// (check_ring, check_readers), and computes every address from parameters it holds in private
// memory. An index that comes out of shared memory is checked against chunk_count() and the like
// before it is given to a view; asserts say so.
#pragma once

#include "layout/readers.hpp"
#include "layout/ring.hpp"
#include "ring/bell.hpp"
#include "ring/slot.hpp"

#include <cassert>
#include <span>

namespace shmbus::ring {

using layout::Sequence;
using layout::SlotState;
using layout::Stamp;

/// Writes a new, empty ring (readers object) into zeroed memory of exactly the size that the
/// geometry says. @pre problem_with(parameters).empty()
void format_ring(std::span<std::byte> memory, const layout::RingParameters& parameters,
                 const layout::Uuid& topic) noexcept;
void format_readers(std::span<std::byte> memory, const layout::RingParameters& parameters,
                    const layout::Uuid& topic) noexcept;

/// Writes what check_readers() looks at, once more: a subscriber may have written over it.
void identify_readers(layout::ReadersHeader& header, const layout::RingParameters& parameters,
                      const layout::Uuid& topic) noexcept;

/// Checks a mapping that somebody else made against what the daemon said of it: magic, version,
/// size, topic, parameters. @throws Error(damaged), Error(incompatible)
void check_ring(std::span<const std::byte> memory, const layout::RingParameters& parameters,
                const layout::Uuid& topic);
void check_readers(std::span<const std::byte> memory, const layout::RingParameters& parameters,
                   const layout::Uuid& topic);

class RingView {
  public:
    RingView() noexcept = default;
    /// @pre memory passed check_ring() with these parameters, or format_ring() made it.
    /// A view of a read-only mapping must only be loaded from.
    RingView(std::span<std::byte> memory, const layout::RingParameters& parameters) noexcept;

    [[nodiscard]] const layout::RingParameters& parameters() const noexcept { return parameters_; }
    [[nodiscard]] const layout::RingGeometry& geometry() const noexcept { return geometry_; }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return parameters_.capacity; }
    [[nodiscard]] std::size_t inline_capacity() const noexcept {
        return parameters_.slot_bytes - layout::slot_header_bytes;
    }
    [[nodiscard]] std::uint32_t chunk_count() const noexcept { return geometry_.chunk_count; }

    [[nodiscard]] layout::RingHeader& header() const noexcept {
        return *reinterpret_cast<layout::RingHeader*>(base_);
    }
    [[nodiscard]] Slot& slot(Sequence s) const noexcept {
        return *reinterpret_cast<Slot*>(slots_ + ((s & index_mask_) << slot_shift_));
    }
    [[nodiscard]] layout::ReaderWatch& watch(std::uint32_t reader) const noexcept {
        assert(reader < parameters_.max_readers);
        return reinterpret_cast<layout::ReaderWatch*>(base_ + geometry_.watches)[reader];
    }
    [[nodiscard]] layout::PublisherEntry& publisher(std::uint32_t i) const noexcept {
        assert(i < parameters_.max_publishers);
        return reinterpret_cast<layout::PublisherEntry*>(base_ + geometry_.publishers)[i];
    }
    [[nodiscard]] layout::ChunkWord& chunk_word(std::uint32_t chunk) const noexcept {
        assert(chunk < chunk_count());
        return reinterpret_cast<layout::ChunkWord*>(base_ + geometry_.chunk_words)[chunk];
    }
    /// All bytes of a chunk.
    [[nodiscard]] std::span<std::byte> chunk(std::uint32_t chunk) const noexcept;

    /// The publisher entries that were ever used; bounded whatever the memory says.
    [[nodiscard]] std::uint32_t publisher_limit() const noexcept;

  private:
    std::byte* base_ = nullptr;
    std::byte* slots_ = nullptr;
    std::uint64_t index_mask_ = 0;
    unsigned slot_shift_ = 0;
    layout::RingParameters parameters_{};
    layout::RingGeometry geometry_{};
};

class ReadersView {
  public:
    ReadersView() noexcept = default;
    /// @pre memory passed check_readers(), or format_readers() made it
    ReadersView(std::span<std::byte> memory, const layout::RingParameters& parameters) noexcept;

    [[nodiscard]] layout::ReadersHeader& header() const noexcept {
        return *reinterpret_cast<layout::ReadersHeader*>(base_);
    }
    [[nodiscard]] layout::ReaderEntry& entry(std::uint32_t reader) const noexcept {
        assert(reader < max_readers_);
        return reinterpret_cast<layout::ReaderEntry*>(base_ + geometry_.entries)[reader];
    }
    /// The hold_cells cells of one reader.
    [[nodiscard]] layout::HoldCell* cells(std::uint32_t reader) const noexcept {
        assert(reader < max_readers_);
        return reinterpret_cast<layout::HoldCell*>(base_ + geometry_.cells) +
               std::size_t{reader} * layout::hold_cells;
    }
    /// The words_per_chunk() words of one chunk: bit r of word r / 64 is reader r.
    [[nodiscard]] layout::HoldBits* bits(std::uint32_t chunk) const noexcept {
        return reinterpret_cast<layout::HoldBits*>(base_ + geometry_.bits) +
               std::size_t{chunk} * geometry_.words_per_chunk;
    }
    [[nodiscard]] std::uint32_t words_per_chunk() const noexcept {
        return geometry_.words_per_chunk;
    }
    [[nodiscard]] std::uint32_t max_readers() const noexcept { return max_readers_; }
    [[nodiscard]] std::uint32_t reader_limit() const noexcept;

  private:
    std::byte* base_ = nullptr;
    std::uint32_t max_readers_ = 0;
    layout::ReadersGeometry geometry_{};
};

/// Both objects of one topic: what most of the protocol needs.
struct Topic {
    RingView ring;
    ReadersView readers;

    /// Publishers ring it, subscribers wait for events on it.
    [[nodiscard]] Bell event_bell() const noexcept {
        return {ring.header().wake, ring.header().rung, readers.header().armed};
    }
    /// Subscribers ring it, publishers wait for space on it.
    [[nodiscard]] Bell space_bell() const noexcept {
        return {readers.header().space, readers.header().space_rung, ring.header().space_armed};
    }
};

} // namespace shmbus::ring
