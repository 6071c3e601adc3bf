// The bytes of a group's object: how far each key slot is, and whose it is.
//
//     offset 0     GroupHeader    identity, options, then the hot words, a line each
//     4096         MemberEntry[]  256, 128 bytes each; the index is that of the member's reader entry
//     36864        SlotEntry[]    1,024, 64 bytes each
//
// Members and the daemon map it for writing. Members of a group trust one another, as one user's; the daemon takes
// from it what can be true, and nobody outside the group depends on it.
#pragma once

#include "layout/cursor.hpp"
#include "shmbus/group.hpp"

namespace shmbus::layout {

inline constexpr std::uint64_t group_magic = 0x31707267'736d6873; // "shmsgrp1", little-endian
inline constexpr std::uint32_t max_members = 256;
inline constexpr std::uint64_t group_members_at = page;
inline constexpr std::uint64_t group_slots_at = group_members_at + std::uint64_t{max_members} * 128;
inline constexpr std::uint64_t group_bytes = group_slots_at + std::uint64_t{key_slots} * 64;

struct GroupHeader {
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t reserved0;
    std::uint64_t total_bytes;
    Uuid topic;
    std::uint32_t ack_wait_ms;
    std::uint32_t max_deliver;
    std::uint32_t max_in_flight;
    std::uint32_t order; // shmbus::Order
    std::array<std::uint32_t, GroupOptions::max_back_off> back_off_ms;
    std::uint32_t back_off_count;
    std::array<std::uint8_t, 36> reserved1;

    alignas(128) Word32 state; // HoldState; written by the daemon
    alignas(128) Word64 moves; // counts up whenever slots have changed hands; written by the daemon
    alignas(128) Word64 redelivered;
    Word64 set_aside;
};
static_assert(offsetof(GroupHeader, state) == 128 && offsetof(GroupHeader, moves) == 256);
static_assert(sizeof(GroupHeader) <= page);

/// What a member says of itself; written by it, but for `ended`.
struct MemberEntry {
    Word64 front; // everything before it was looked at; sequence
    Word64 beat;  // counts its looks
    Word64 lease; // lease_of() its reader entry's attach word; 0: nobody waits for it
    Word32 ended; // it is a member no more; written by the daemon
    Word32 gone;  // its subscription is closed, and only events that it had are still held
    std::array<std::uint8_t, 96> reserved;
};
static_assert(sizeof(MemberEntry) == 128);

enum class SlotPhase : std::uint8_t {
    /// All of it before `seq` is done, and all before its owner's front, if that is further.
    synced = 0,
    /// All of it before `seq` is done; `seq` or a later one comes next. If `tries` is of `seq`, that has failed, and
    /// comes not before `due`.
    rest = 1,
    /// All of it before `seq` is done, and event `seq` is in its owner's hands, until `due`.
    out = 2,
};

///      63        50 49  48 47                                            0
///     +------------+------+-----------------------------------------------+
///     |   epoch    |phase |      low 48 bits of the sequence              |
///     +------------+------+-----------------------------------------------+
/// Changed by compare-and-swap alone. The daemon takes a slot from its owner by the next epoch: what the owner
/// then tries with the last one fails. An owner that sleeps through exactly 2^14 epochs of a slot, whose same
/// event is out again, would be taken for the new one.
class SlotWord {
  public:
    explicit constexpr SlotWord(std::uint64_t word) noexcept : word_(word) {}
    constexpr SlotWord(std::uint32_t epoch, SlotPhase phase, Sequence seq) noexcept
        : word_(std::uint64_t{epoch & epoch_mask} << 50U |
                std::uint64_t{static_cast<std::uint8_t>(phase)} << 48U | (seq & seq_mask)) {}
    [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
    [[nodiscard]] constexpr std::uint32_t epoch() const noexcept {
        return static_cast<std::uint32_t>(word_ >> 50U);
    }
    /// Of a word that nobody wrote so: rest.
    [[nodiscard]] constexpr SlotPhase phase() const noexcept {
        const auto bits = static_cast<std::uint8_t>(word_ >> 48U & 3U);
        return bits > 2 ? SlotPhase::rest : static_cast<SlotPhase>(bits);
    }
    /// The sequence of these low bits that is nearest to `near`.
    [[nodiscard]] constexpr Sequence seq(Sequence near) const noexcept {
        const auto ahead = static_cast<std::int64_t>((word_ - near) << 16U) >> 16U;
        return near + static_cast<std::uint64_t>(ahead);
    }
    static constexpr std::uint32_t epoch_mask = (1U << 14U) - 1;
    static constexpr std::uint64_t seq_mask = (std::uint64_t{1} << 48U) - 1;

  private:
    std::uint64_t word_;
};

/// Why an event was not acknowledged the last time.
enum class Failure : std::uint8_t { none = 0, nacked = 1, timed_out = 2, member_gone = 3 };

/// Of one event, by the low 48 bits of its sequence: how often it was handed out, and how that ended.
class TriesWord {
  public:
    explicit constexpr TriesWord(std::uint64_t word) noexcept : word_(word) {}
    constexpr TriesWord(Sequence seq, std::uint32_t count, Failure failure) noexcept
        : word_(std::uint64_t{count > 0xfff ? 0xfff : count} << 52U |
                std::uint64_t{static_cast<std::uint8_t>(failure)} << 48U |
                (seq & SlotWord::seq_mask)) {}
    [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
    [[nodiscard]] constexpr bool is_of(Sequence seq) const noexcept {
        return ((word_ ^ seq) & SlotWord::seq_mask) == 0;
    }
    [[nodiscard]] constexpr std::uint32_t count() const noexcept {
        return static_cast<std::uint32_t>(word_ >> 52U);
    }
    [[nodiscard]] constexpr Failure failure() const noexcept {
        const auto bits = static_cast<std::uint8_t>(word_ >> 48U & 0xfU);
        return bits > 3 ? Failure::none : static_cast<Failure>(bits);
    }

  private:
    std::uint64_t word_;
};

/// Until when an event may be in hand, or before when the one that failed does not come again.
///
///      63        50   49   48                                            0
///     +------------+------+-----------------------------------------------+
///     |   epoch    |waits |      monotonic time, in microseconds          |
///     +------------+------+-----------------------------------------------+
/// Of the slot's word with this epoch alone: an owner that does not know yet that it is none changes nothing here.
class DueWord {
  public:
    explicit constexpr DueWord(std::uint64_t word) noexcept : word_(word) {}
    constexpr DueWord(std::uint32_t epoch, bool waits, std::uint64_t ns) noexcept
        : word_(std::uint64_t{epoch & SlotWord::epoch_mask} << 50U |
                std::uint64_t{waits ? 1U : 0U} << 49U | ((ns + 999) / 1000 & time_mask)) {}
    [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
    [[nodiscard]] constexpr std::uint32_t epoch() const noexcept {
        return static_cast<std::uint32_t>(word_ >> 50U);
    }
    /// It is of what failed, not of what is in hand.
    [[nodiscard]] constexpr bool waits() const noexcept { return (word_ >> 49U & 1U) != 0; }
    [[nodiscard]] constexpr std::uint64_t ns() const noexcept { return (word_ & time_mask) * 1000; }

  private:
    static constexpr std::uint64_t time_mask = (std::uint64_t{1} << 49U) - 1;
    std::uint64_t word_;
};

/// Whose a slot is, as the daemon says: valid only while the slot's word has the same epoch.
struct OwnerWord {
    static constexpr std::uint64_t make(std::uint32_t epoch, std::uint32_t member,
                                        bool recalled) noexcept {
        return std::uint64_t{epoch} << 32U | std::uint64_t{recalled} << 16U | (member + 1);
    }
    static constexpr std::uint32_t nobody = ~std::uint32_t{0};
    static constexpr std::uint32_t member_of(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(word & 0xffffU) - 1;
    }
    static constexpr bool is_recalled(std::uint64_t word) noexcept {
        return (word >> 16U & 1U) != 0;
    }
    static constexpr std::uint32_t epoch_of(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(word >> 32U);
    }
};

struct SlotEntry {
    Word64 word;  // SlotWord
    Word64 tries; // TriesWord
    Word64 due;   // DueWord; see SlotPhase
    Word64 owner; // OwnerWord; written by the daemon
    std::array<std::uint8_t, 32> reserved;
};
static_assert(sizeof(SlotEntry) == 64);

/// How far a slot is, for keeping: everything of it before `seq` is done.
struct KeySlotState {
    Sequence seq = 0;
    std::uint32_t tries = 0; // of event `seq`
    Failure failure = Failure::none;
    bool operator==(const KeySlotState&) const = default;
};

/// Where an event belongs: by its key's hash, or spread by sequence. Neighbours in sequence get slots far apart.
constexpr std::uint32_t key_slot_of(Order order, bool has_key, std::uint32_t key_hash,
                                    Sequence sequence) noexcept {
    if (order == Order::per_key && has_key) return key_hash % key_slots;
    return static_cast<std::uint32_t>(sequence * 633 % key_slots);
}

} // namespace shmbus::layout
