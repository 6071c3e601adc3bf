// The publishing side of the slot protocol, for publishers that share a topic.
//
//   1. The payload is complete before anything is claimed. No user code runs between claim and
//      commit, so a slow publisher holds up nobody.
//   2. s = tail. If the gate has not passed s - capacity: wait, refuse, or (drop-oldest) go on.
//   3. Compare-and-swap slot(s).stamp from the final state of s - capacity, or from empty, to
//      claimed(s, me), acquire; then a release fence. Look once more whether the ring is open.
//   4. Compare-and-swap tail from s to s + 1. Anybody may do it.
//   5. Header and inline payload, relaxed stores; or the chunk becomes published(s).
//   6. Compare-and-swap claimed(s, me) to committed(s). If it fails the claim was revoked.
//   7. If a subscriber sleeps: ring.
//
// Why a release fence after an acquire claim: a reader of the slot's previous lap copies it, then
// looks at the stamp again. Without the fence it could see new content under the old stamp
// (litmus A1, A2 against A3). Why acquire: the claim takes over what the previous owner wrote (B1
// against B2).
//
// A claim that is a whole lap old stands in the way of whoever needs its slot; that publisher
// revokes it: claimed(s - capacity, other) becomes quarantined(s, other), two tombstones in one
// step. A quarantined slot is stepped over lap by lap in the same way and never written, because
// its owner still may. When the late owner's commit fails it turns the stamp that names it to
// aborted, which frees the slot, and publishes again with a later sequence (model: slot, slot2
// -DPEERQUAR). With as many stopped publishers as slots there is nothing to claim: that is a full
// ring.
#pragma once

#include "ring/pool.hpp"
#include "shmbus/types.hpp"

namespace shmbus::ring {

/// An event whose content is complete.
struct Draft {
    layout::EventHeader header;      // `chunk` says where the body is
    const std::byte* extension = {}; // header.extension bytes; inline events only
    const std::byte* payload = {};   // header.length bytes; inline events only
};

/// One publisher's hand on a ring. One thread at a time; interrupt() from anywhere.
class Writer {
  public:
    /// For publisher entry `owner`, leased to the caller.
    Writer(const Topic& topic, std::uint32_t owner) noexcept;

    [[nodiscard]] const RingView& ring() const noexcept { return topic_.ring; }

    /// Publishes; `s` is its sequence when the outcome is `published`. A chunk named by the draft
    /// must have come from take_chunk(); after `published` and `revoked` it is no longer the
    /// caller's, after anything else it still is.
    PublishOutcome publish(const Draft& draft, Deadline deadline, Sequence& s) noexcept;

    /// A chunk of at least `bytes`, or the outcome that says why not: pool_full, timed_out, closed,
    /// interrupted.
    PublishOutcome take_chunk(std::uint64_t bytes, Deadline deadline,
                              std::uint32_t& chunk) noexcept;
    void give_back(std::uint32_t chunk) noexcept { pool_.give_back(chunk); }

    /// Makes a wait for room end with `interrupted`, now or the next time. Async-signal-safe.
    void interrupt() noexcept;

  private:
    enum class Step : std::uint8_t { claimed, look_again, stepped_over, damaged };

    PublishOutcome claim(Deadline deadline, Sequence& s) noexcept;
    Step try_claim(Sequence s) noexcept;
    Step resolve(Sequence s, std::uint64_t seen) noexcept;
    [[nodiscard]] bool all_quarantined() const noexcept;
    void advance_tail(Sequence s) noexcept;
    static void write_content(Slot& slot, const Draft& draft) noexcept;
    [[nodiscard]] bool commit(Sequence s) noexcept;
    void retire(Sequence s) noexcept;
    template <class Ready> PublishOutcome wait_for_room(Deadline deadline, Ready ready) noexcept;
    [[nodiscard]] bool is_open() const noexcept;

    Topic topic_;
    std::uint32_t owner_;
    FullPolicy policy_;
    Gate gate_;
    Pool pool_;
    base::Word32 interrupt_{0};
};

} // namespace shmbus::ring
