// The stamp: one 64-bit word that says everything about a slot or a chunk.
//
//      63          52 51   48 47                                            0
//     +--------------+-------+-----------------------------------------------+
//     |    owner     | state |      low 48 bits of the sequence              |
//     +--------------+-------+-----------------------------------------------+
//
// The sequence is the lap tag: a slot never needs zeroing, and a reader knows at one look whether
// it came early, in time or too late. The owner (index in the publisher table) is there while
// somebody may still write: recovery is then a decision on this word alone. A final stamp carries
// no owner, so "is event s there" is one comparison with one constant. 48 bits last 2,000 years at
// 4 million events a second; comparisons are modulo 2^48 all the same, so a topic may begin
// anywhere.
#pragma once

#include <cstdint>

namespace shmbus::layout {

using Sequence = std::uint64_t;

enum class SlotState : std::uint8_t {
    empty = 0,       // never written; the whole word is zero
    claimed = 1,     // its owner is writing
    committed = 2,   // an event
    aborted = 3,     // a tombstone; the slot is free
    quarantined = 4, // a tombstone, but its owner may still write: step over, never reuse
    evicted = 5,     // an event whose chunk was taken for another; the header is still good
};

enum class ChunkState : std::uint8_t {
    free = 0,      // nobody's; the whole word is zero
    owned = 1,     // a publisher fills it
    published = 2, // belongs to the event of the stamp's sequence
};

class Stamp {
  public:
    static constexpr unsigned sequence_bits = 48;
    static constexpr std::uint64_t sequence_mask = (std::uint64_t{1} << sequence_bits) - 1;
    static constexpr std::uint32_t max_owner = 0xfff;

    constexpr Stamp() noexcept = default;
    constexpr explicit Stamp(std::uint64_t word) noexcept : word_(word) {}

    static constexpr Stamp slot(Sequence s, SlotState state, std::uint32_t owner = 0) noexcept {
        return make(s, static_cast<std::uint8_t>(state), owner);
    }
    static constexpr Stamp chunk(ChunkState state, Sequence s, std::uint32_t owner) noexcept {
        return make(s, static_cast<std::uint8_t>(state), owner);
    }

    [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
    [[nodiscard]] constexpr SlotState slot_state() const noexcept {
        return static_cast<SlotState>((word_ >> 48U) & 0xfU);
    }
    [[nodiscard]] constexpr ChunkState chunk_state() const noexcept {
        return static_cast<ChunkState>((word_ >> 48U) & 0xfU);
    }
    [[nodiscard]] constexpr std::uint32_t owner() const noexcept {
        return static_cast<std::uint32_t>(word_ >> 52U);
    }
    /// How far the stamp's sequence is ahead of `s` (negative: behind); exact within 2^47.
    [[nodiscard]] constexpr std::int64_t ahead_of(Sequence s) const noexcept {
        return static_cast<std::int64_t>((word_ - s) << 16U) >> 16U;
    }
    /// The full sequence nearest to `near` that has this stamp's low 48 bits.
    [[nodiscard]] constexpr Sequence sequence(Sequence near) const noexcept {
        return near + static_cast<std::uint64_t>(ahead_of(near));
    }
    constexpr bool operator==(const Stamp&) const noexcept = default;

  private:
    static constexpr Stamp make(Sequence s, std::uint8_t state, std::uint32_t owner) noexcept {
        return Stamp((s & sequence_mask) | std::uint64_t{state} << 48U |
                     std::uint64_t{owner} << 52U);
    }
    std::uint64_t word_ = 0;
};

static_assert(sizeof(Stamp) == 8);
static_assert(Stamp{} == Stamp::slot(0, SlotState::empty));
static_assert(Stamp::slot(5, SlotState::committed).ahead_of(7) == -2);
static_assert(Stamp::slot(1ULL << 48U, SlotState::committed).ahead_of((1ULL << 48U) - 3) == 3);
static_assert(Stamp::slot(1ULL << 48U, SlotState::committed).sequence((1ULL << 48U) - 3) ==
              1ULL << 48U);

} // namespace shmbus::layout
