// Publishing: what both kinds of publishers share.
//
// A publisher is one of many (SharedWriter), or has its topic to itself for as long as it lives
// (ExclusiveWriter), which spares it the compare-and-swaps. Subscribers cannot tell the difference:
// the same states pass through the same slots, in the same order.
//
//   1. The payload is complete before anything is claimed. No user code runs between claim and
//      commit, so a slow publisher holds up nobody.
//   2. There is room for sequence s when the gate has passed s - capacity; else wait, or refuse, or
//      (drop-oldest) go on.
//   3. Claim the slot; then look once more whether the ring is open.
//   4. Header and inline payload, relaxed stores; or the chunk becomes published(s).
//   5. Commit. 6. If a subscriber sleeps: ring, once for a run of events.
#pragma once

#include "base/prefetch.hpp"
#include "ring/pool.hpp"
#include "shmbus/types.hpp"

namespace shmbus::ring {

/// An event whose content is complete.
struct Draft {
    layout::EventHeader header;      // `chunk` says where the body is
    const std::byte* extension = {}; // header.extension bytes; inline events only
    const std::byte* payload = {};   // header.length bytes; inline events only
};

/// How far a run of events came.
struct Run {
    std::size_t published = 0; // the first so many
    Sequence last = 0;         // of the last of them
};

/// One publisher's hand on a ring. One thread at a time; interrupt() from anywhere.
class Writer {
  public:
    virtual ~Writer() = default;
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    [[nodiscard]] const RingView& ring() const noexcept { return topic_.ring; }

    /// Publishes the drafts in their order, at least one at a time: `published` when all were, else
    /// why not the next. Waits for room up to the deadline. A chunk named by a draft must have come
    /// from take_chunk(); once its event was published, or the outcome for it is `revoked`, it is no
    /// longer the caller's, otherwise it still is.
    virtual PublishOutcome publish(std::span<const Draft> drafts, Deadline deadline,
                                   Run& run) noexcept = 0;

    /// Asks for the next slot's cache lines, which are usually elsewhere; to be called as early as
    /// possible, so that they travel while the event is made.
    virtual void prefetch() const noexcept = 0;

    /// A chunk of at least `bytes`, or the outcome that says why not: pool_full, timed_out, closed,
    /// interrupted.
    PublishOutcome take_chunk(std::uint64_t bytes, Deadline deadline,
                              std::uint32_t& chunk) noexcept;
    void give_back(std::uint32_t chunk) noexcept { pool_.give_back(chunk); }

    /// After `closed`: waits for a daemon that opens the ring again: `published` when it is open; else
    /// `closed`, or `interrupted`. Who does not wait for room waits for no daemon either.
    PublishOutcome wait_until_open(Deadline deadline) noexcept;

    /// Waits until `s` survives a power loss.
    Durability wait_durable(Sequence s, Deadline deadline) noexcept;

    /// Makes a wait for room end with `interrupted`, now or the next time. Async-signal-safe.
    void interrupt() noexcept;

  protected:
    /// For publisher entry `owner`, leased to the caller.
    Writer(const Topic& topic, std::uint32_t owner) noexcept;

    /// Sequentially consistent: looked at again after the claim, it tells whether it came in time.
    [[nodiscard]] bool is_open() const noexcept {
        return topic_.ring.header().state.load_seq_cst() ==
               static_cast<std::uint32_t>(layout::RingState::open); // pairs with set_state()
    }

    /// Whether the slot of s - capacity may be overwritten.
    [[nodiscard]] bool is_room_for(Sequence s) noexcept {
        return policy_ == FullPolicy::drop_oldest || s <= topic_.ring.capacity() ||
               gate_.is_past(s - topic_.ring.capacity());
    }
    /// Waits until there is, if that is the topic's way: `published` if it is worth another look.
    PublishOutcome wait_for_room(Sequence s, Deadline deadline) noexcept;
    /// Sleeps until ready() says so.
    template <class Ready> PublishOutcome wait_until(Deadline deadline, Ready ready) noexcept;

    void prefetch_slot(Sequence s) const noexcept {
        base::prefetch_for_write(&topic_.ring.slot(s));
        base::prefetch_for_write(topic_.ring.slot(s).inline_bytes);
    }
    static void write_content(Slot& slot, const Draft& draft) noexcept;

    Topic topic_;
    std::uint32_t owner_;
    FullPolicy policy_;
    Gate gate_;
    Pool pool_;

  private:
    base::Word32 interrupt_{0};
};

inline void Writer::write_content(Slot& slot, const Draft& draft) noexcept {
    store_header(slot, draft.header);
    if (draft.header.chunk != layout::no_chunk) return;
    base::store_bytes_relaxed(slot.inline_bytes, draft.extension, draft.header.extension);
    base::store_bytes_relaxed(slot.inline_bytes + (draft.header.extension + 7U) / 8, draft.payload,
                              draft.header.length);
}

/// A publisher that waits for room looks up this often by itself: evict_after and hold_timeout
/// pass without anybody ringing, and another publisher that gives a loan back cannot ring.
inline constexpr auto look_up = std::chrono::milliseconds(50);

template <class Ready> PublishOutcome Writer::wait_until(Deadline deadline, Ready ready) noexcept {
    // Whoever could make room may be asleep: a run of events is announced at its end only.
    topic_.event_bell().ring_if_needed();
    auto bell = topic_.space_bell();
    for (;;) {
        // Who is behind and does not move; a subscriber that has read everything is not in the way.
        const bool evicted = gate_.evict_if_stalled(topic_.ring.header().tail.load_acquire() - 1);
        if (!evicted && deadline.passed()) return PublishOutcome::timed_out;
        const std::uint64_t armed_at = bell.arm();
        if (ready()) return PublishOutcome::published;
        if (!is_open()) return PublishOutcome::closed;
        const auto until = std::min(deadline.when(), Deadline::Clock::now() + look_up);
        if (bell.sleep(armed_at, interrupt_, until) == base::Woken::interrupted) {
            interrupt_.store_relaxed(0);
            return PublishOutcome::interrupted;
        }
    }
}

} // namespace shmbus::ring
