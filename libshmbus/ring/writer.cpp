#include "ring/writer.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <bit>

namespace shmbus::ring {

namespace {

/// A publisher that waits for room looks up this often by itself: evict_after and hold_timeout
/// pass without anybody ringing, and another publisher that gives a loan back cannot ring.
constexpr auto look_up = std::chrono::milliseconds(50);

constexpr std::size_t words_of(std::size_t bytes) noexcept { return (bytes + 7) / 8; }

} // namespace

Writer::Writer(const Topic& topic, std::uint32_t owner) noexcept
    : topic_(topic), owner_(owner),
      policy_(static_cast<FullPolicy>(topic.ring.parameters().full_policy)), gate_(topic, owner),
      pool_(topic_, owner, gate_) {}

PublishOutcome Writer::publish(const Draft& draft, Deadline deadline, Sequence& s) noexcept {
    const bool in_chunk = draft.header.chunk != layout::no_chunk;
    for (;;) {
        if (const auto outcome = claim(deadline, s); outcome != PublishOutcome::published)
            return outcome;
        if (!is_open()) { // closed between the first look and the claim: see Reader::resolve
            retire(s);
            return PublishOutcome::closed;
        }
        write_content(topic_.ring.slot(s), draft);
        if (in_chunk && !pool_.mark_published(draft.header.chunk, s)) {
            retire(s); // somebody freed a living publisher's chunk
            return PublishOutcome::revoked;
        }
        if (commit(s)) {
            topic_.event_bell().ring_if_needed();
            return PublishOutcome::published;
        }
        retire(s);
        if (in_chunk && !pool_.take_back(draft.header.chunk, s)) return PublishOutcome::revoked;
    }
}

bool Writer::is_open() const noexcept {
    return topic_.ring.header().state.load_seq_cst() ==
           static_cast<std::uint32_t>(layout::RingState::open); // pairs with set_state()
}

PublishOutcome Writer::claim(Deadline deadline, Sequence& s) noexcept {
    const std::uint64_t capacity = topic_.ring.capacity();
    for (std::uint64_t stepped_over = 0;;) {
        if (!is_open()) return PublishOutcome::closed;
        s = topic_.ring.header().tail.load_acquire();
        if (policy_ != FullPolicy::drop_oldest && s > capacity && !gate_.is_past(s - capacity)) {
            const auto room = [&] { return gate_.is_past(s - capacity); };
            if (policy_ == FullPolicy::reject) {
                if (!gate_.evict_if_stalled(s - capacity)) return PublishOutcome::full;
            } else if (const auto outcome = wait_for_room(deadline, room);
                       outcome != PublishOutcome::published) {
                return outcome;
            }
            continue;
        }
        switch (try_claim(s)) {
        case Step::claimed: return PublishOutcome::published;
        case Step::damaged: return PublishOutcome::damaged;
        case Step::stepped_over:
            if (++stepped_over < capacity || !all_quarantined()) break;
            if (policy_ != FullPolicy::block) return PublishOutcome::full;
            if (const auto outcome = wait_for_room(deadline, [&] { return !all_quarantined(); });
                outcome != PublishOutcome::published)
                return outcome;
            break;
        case Step::look_again: break;
        }
    }
}

bool Writer::all_quarantined() const noexcept {
    for (std::uint32_t i = 0; i < topic_.ring.capacity(); ++i)
        if (Stamp(topic_.ring.slot(i).stamp.load_relaxed()).slot_state() != SlotState::quarantined)
            return false;
    return true;
}

Writer::Step Writer::try_claim(Sequence s) noexcept {
    auto& word = topic_.ring.slot(s).stamp;
    std::uint64_t seen = word.load_relaxed();
    const Stamp stamp(seen);
    const auto state = stamp.slot_state();
    const bool is_final =
        state == SlotState::committed || state == SlotState::aborted || state == SlotState::evicted;
    const bool last_lap = stamp.ahead_of(s) == -static_cast<std::int64_t>(topic_.ring.capacity());
    if (seen != 0 && !(is_final && last_lap)) return resolve(s, seen);
    // Acquire: pairs with the commit, or with the retire(), of the previous owner (litmus B2, B5).
    // Sequentially consistent: before the second look at the ring's state.
    if (!word.cas_seq_cst(seen, Stamp::slot(s, SlotState::claimed, owner_).word()))
        return Step::look_again;
    base::release_fence(); // pairs with the acquire fence in Reader (litmus A3)
    advance_tail(s);
    return Step::claimed;
}

/// The slot for s is not there for the taking: find out who has it, and help.
Writer::Step Writer::resolve(Sequence s, std::uint64_t seen) noexcept {
    const Stamp stamp(seen);
    const auto state = stamp.slot_state();
    const std::int64_t ahead = stamp.ahead_of(s);
    if (ahead == 0) { // claimed for s already
        advance_tail(s);
        return Step::look_again;
    }
    if (ahead == -static_cast<std::int64_t>(topic_.ring.capacity()) &&
        (state == SlotState::claimed || state == SlotState::quarantined)) {
        const Stamp step_over = Stamp::slot(s, SlotState::quarantined, stamp.owner());
        // Sequentially consistent: before the look at `armed`, as in commit().
        if (!topic_.ring.slot(s).stamp.cas_seq_cst(seen, step_over.word())) return Step::look_again;
        advance_tail(s);
        topic_.event_bell().ring_if_needed(); // s is a tombstone, and perhaps s - capacity too
        return Step::stepped_over;
    }
    // Somebody moved on, and our look at the tail is old; unless nobody did.
    const bool unchanged = topic_.ring.slot(s).stamp.load_acquire() == seen &&
                           topic_.ring.header().tail.load_acquire() == s;
    return unchanged ? Step::damaged : Step::look_again;
}

void Writer::advance_tail(Sequence s) noexcept {
    std::uint64_t expected = s;
    // Release: pairs with the acquire loads of the tail; who sees s + 1 sees s claimed.
    (void)topic_.ring.header().tail.cas_release(expected, s + 1);
}

void Writer::write_content(Slot& slot, const Draft& draft) noexcept {
    const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(draft.header);
    for (std::size_t i = 0; i < words.size(); ++i) slot.header[i].store_relaxed(words[i]);
    if (draft.header.chunk != layout::no_chunk) return;
    base::store_bytes_relaxed(slot.inline_bytes, draft.extension, draft.header.extension);
    base::store_bytes_relaxed(slot.inline_bytes + words_of(draft.header.extension), draft.payload,
                              draft.header.length);
}

bool Writer::commit(Sequence s) noexcept {
    std::uint64_t claimed = Stamp::slot(s, SlotState::claimed, owner_).word();
    // Release: pairs with the reader's first load of the stamp. Sequentially consistent: it comes
    // before the look at `armed` in Bell::somebody_sleeps().
    return topic_.ring.slot(s).stamp.cas_seq_cst(claimed,
                                                 Stamp::slot(s, SlotState::committed).word());
}

/// The claim of `s` was revoked. Whatever stamp names this publisher in that slot by now: it will
/// not write there any more, the slot is free.
void Writer::retire(Sequence s) noexcept {
    auto& word = topic_.ring.slot(s).stamp;
    std::uint64_t seen = word.load_relaxed();
    for (;;) {
        const Stamp stamp(seen);
        const bool mine = stamp.owner() == owner_ &&
                          (stamp.slot_state() == SlotState::quarantined ||
                           (stamp.slot_state() == SlotState::claimed && stamp.ahead_of(s) == 0));
        if (!mine) return; // the reaper of a publisher believed dead did it
        // Release: pairs with the acquire of the next claim (litmus B4 against B5).
        if (word.cas_release(seen, Stamp::slot(stamp.sequence(s), SlotState::aborted).word()))
            break;
    }
    topic_.event_bell().ring(); // rare: not worth a second protocol
}

PublishOutcome Writer::take_chunk(std::uint64_t bytes, Deadline deadline,
                                  std::uint32_t& chunk) noexcept {
    const auto room = [&] {
        const auto taken = pool_.take(bytes);
        if (taken) chunk = *taken;
        return taken.has_value();
    };
    if (!is_open()) return PublishOutcome::closed;
    if (room()) return PublishOutcome::published;
    if (policy_ != FullPolicy::block) {
        // Short of chunks a reject topic may never be short of slots: who stands still shows here.
        const bool evicted = policy_ == FullPolicy::reject &&
                             gate_.evict_if_stalled(topic_.ring.header().tail.load_acquire() - 1);
        return evicted && room() ? PublishOutcome::published : PublishOutcome::pool_full;
    }
    const auto outcome = wait_for_room(deadline, room);
    return outcome == PublishOutcome::timed_out ? PublishOutcome::pool_full : outcome;
}

template <class Ready>
PublishOutcome Writer::wait_for_room(Deadline deadline, Ready ready) noexcept {
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

void Writer::interrupt() noexcept {
    interrupt_.store_release(1); // pairs with futex_wait()
    base::futex_wake_private(interrupt_);
}

} // namespace shmbus::ring
