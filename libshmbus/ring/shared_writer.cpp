#include "ring/shared_writer.hpp"

namespace shmbus::ring {

namespace {

/// Slots that are asked for this long before they are claimed are here by then, and far enough from
/// where subscribers look to stay.
constexpr Sequence prefetch_distance = 4;

} // namespace

void SharedWriter::prefetch() const noexcept {
    prefetch_slot(topic_.ring.header().tail.load_relaxed());
}

PublishOutcome SharedWriter::publish(std::span<const Draft> drafts, Deadline deadline,
                                     Run& run) noexcept {
    PublishOutcome outcome = PublishOutcome::published;
    while (run.published < drafts.size()) {
        Sequence s = 0;
        outcome = publish_one(drafts[run.published], deadline, s);
        if (outcome != PublishOutcome::published) break;
        run.last = s;
        ++run.published;
    }
    if (run.published != 0) topic_.event_bell().ring_if_needed();
    return outcome;
}

PublishOutcome SharedWriter::publish_one(const Draft& draft, Deadline deadline,
                                         Sequence& s) noexcept {
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
        prefetch_slot(s + prefetch_distance);
        if (commit(s)) return PublishOutcome::published;
        retire(s);
        if (in_chunk && !pool_.take_back(draft.header.chunk, s)) return PublishOutcome::revoked;
    }
}

PublishOutcome SharedWriter::claim(Deadline deadline, Sequence& s) noexcept {
    const std::uint64_t capacity = topic_.ring.capacity();
    for (std::uint64_t stepped_over = 0;;) {
        if (!is_open()) return PublishOutcome::closed;
        s = topic_.ring.header().tail.load_acquire();
        if (!is_room_for(s)) {
            if (const auto outcome = wait_for_room(s, deadline);
                outcome != PublishOutcome::published)
                return outcome;
            continue;
        }
        switch (try_claim(s)) {
        case Step::claimed: return PublishOutcome::published;
        case Step::damaged: return PublishOutcome::damaged;
        case Step::stepped_over:
            if (++stepped_over < capacity || !all_quarantined()) break;
            if (policy_ != FullPolicy::block) return PublishOutcome::full;
            if (const auto outcome = wait_until(deadline, [&] { return !all_quarantined(); });
                outcome != PublishOutcome::published)
                return outcome;
            break;
        case Step::look_again: break;
        }
    }
}

bool SharedWriter::all_quarantined() const noexcept {
    for (std::uint32_t i = 0; i < topic_.ring.capacity(); ++i)
        if (Stamp(topic_.ring.slot(i).stamp.load_relaxed()).slot_state() != SlotState::quarantined)
            return false;
    return true;
}

SharedWriter::Step SharedWriter::try_claim(Sequence s) noexcept {
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
SharedWriter::Step SharedWriter::resolve(Sequence s, std::uint64_t seen) noexcept {
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

void SharedWriter::advance_tail(Sequence s) noexcept {
    std::uint64_t expected = s;
    // Release: pairs with the acquire loads of the tail; who sees s + 1 sees s claimed.
    (void)topic_.ring.header().tail.cas_release(expected, s + 1);
}

bool SharedWriter::commit(Sequence s) noexcept {
    std::uint64_t claimed = Stamp::slot(s, SlotState::claimed, owner_).word();
    // Release: pairs with the reader's first load of the stamp. Sequentially consistent: it comes
    // before the look at `armed` in Bell::somebody_sleeps().
    return topic_.ring.slot(s).stamp.cas_seq_cst(claimed,
                                                 Stamp::slot(s, SlotState::committed).word());
}

/// The claim of `s` was revoked. Whatever stamp names this publisher in that slot by now: it will
/// not write there any more, the slot is free.
void SharedWriter::retire(Sequence s) noexcept {
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

} // namespace shmbus::ring
