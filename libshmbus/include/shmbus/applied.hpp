// Exactly one effect for each event: how far a consumer is, kept with what it has done.
//
//     begin transaction
//     applied.set(event.slot(), what the database has for this slot);
//     if (applied.is_new(event)) { do it; applied.note(event); write applied.at(event.slot()); }
//     commit, then acknowledge
//
// Whatever is killed, an event may come again, to this process or to another one. Its effect and the note of it
// are in one transaction of the consumer's own, so either both are there or neither is, and what comes again is not
// new. Of a key slot events are handled in order, so one number a slot is enough: 8 KiB for a group of any size.
// Members that keep it in one database look at the slot in the transaction: another one may have had it meanwhile.
//
// It belongs to one group of one topic, and what is not a group has slot 0 alone. A topic that was removed and made
// anew has other sequences, and another TopicInfo::uuid: then it begins anew, too. A dead letter that is replayed has
// a new sequence, and is new; identity_of() of shmbus/dead_letter.hpp tells which event it was.
#pragma once

#include "shmbus/error.hpp"
#include "shmbus/event.hpp"
#include "shmbus/group.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace shmbus {

/// For each key slot the last sequence that had its effect; 0: none.
/// Thread safety: one thread at a time.
class Applied {
  public:
    static constexpr std::size_t stored_bytes = key_slots * sizeof(Sequence);

    Applied() noexcept = default;
    /// What bytes() showed. @throws Error(damaged) when they cannot be that
    explicit Applied(Bytes stored) {
        if (stored.size() != stored_bytes)
            throw Error(Errc::damaged, "what was applied takes " + std::to_string(stored_bytes) +
                                           " bytes, and these are " +
                                           std::to_string(stored.size()));
        std::memcpy(last_.data(), stored.data(), stored_bytes);
        for (const Sequence last : last_) check(last);
    }

    /// Whether the event has had no effect yet. @throws Error(bad_argument) when it was released: it has no slot then
    [[nodiscard]] bool is_new(const Event& event) const {
        return event.sequence() > last_[slot_of(event)];
    }
    /// It has had its effect now, and so has everything before it in its slot. @throws as is_new()
    void note(const Event& event) {
        Sequence& last = last_[slot_of(event)];
        last = std::max(last, event.sequence());
    }

    /// One slot, so that what changed is all that has to be written. @throws Error(bad_argument) from key_slots on
    [[nodiscard]] Sequence at(std::uint32_t slot) const { return last_[checked(slot)]; }
    /// @throws the same; Error(damaged) for what can be no sequence
    void set(std::uint32_t slot, Sequence last) {
        check(last);
        last_[checked(slot)] = last;
    }
    /// All of it, to be stored: as many numbers as there are slots, little-endian.
    [[nodiscard]] Bytes bytes() const noexcept { return std::as_bytes(std::span(last_)); }

    bool operator==(const Applied&) const = default;

  private:
    static std::uint32_t slot_of(const Event& event) {
        if (event.empty())
            throw Error(Errc::bad_argument, "an event that was released has no slot any more");
        return checked(event.slot());
    }
    static std::uint32_t checked(std::uint32_t slot) {
        if (slot < key_slots) return slot;
        throw Error(Errc::bad_argument, "there are " + std::to_string(key_slots) +
                                            " key slots, and no slot " + std::to_string(slot));
    }
    static void check(Sequence last) {
        if (last >> 63U != 0)
            throw Error(Errc::damaged, "what was applied has a sequence that no event can have: " +
                                           std::to_string(last));
    }
    std::array<Sequence, key_slots> last_{};
};

} // namespace shmbus
