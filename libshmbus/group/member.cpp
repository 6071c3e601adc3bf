#include "group/member.hpp"

#include <algorithm>
#include <utility>

namespace shmbus::group {

Member::Member(const Table& table, std::uint32_t index, GroupOptions options, Sequence front,
               std::uint64_t lease)
    : table_(table), index_(index), options_(std::move(options)), front_(front) {
    table_.member(index_).front.store_release(front);
    table_.member(index_).lease.store_release(lease); // pairs with Membership::settle
    beat();
}

// ---- whose slots are whose ---------------------------------------------------------------------

void Member::take_over() noexcept {
    moves_ = table_.header().moves.load_acquire(); // first: what comes later is seen the next time
    for (std::uint32_t k = 0; k < key_slots; ++k) take_over(k);
}

void Member::take_over(std::uint32_t slot) noexcept {
    const auto& entry = table_.slot(slot);
    Own& own = own_[slot];
    const std::uint64_t owner = entry.owner.load_acquire(); // pairs with Keeper::give
    const SlotWord word(entry.word.load_acquire());
    const bool is_mine =
        OwnerWord::member_of(owner) == index_ && OwnerWord::epoch_of(owner) == word.epoch();
    if (!is_mine) {
        lose(slot);
        return;
    }
    const bool was_recalled = std::exchange(own.recalled, OwnerWord::is_recalled(owner));
    if (own.phase != Phase::foreign && SlotWord(own.word).epoch() == word.epoch()) {
        if (was_recalled && !own.recalled && own.phase == Phase::rest) look_for(own);
        return;
    }
    lose(slot);
    own.word = word.word();
    own.recalled = OwnerWord::is_recalled(owner);
    const Sequence resume = word.seq(front_);
    // What is left there is of the last event that was handed out; one that has not been does not wait.
    const TriesWord tries(entry.tries.load_relaxed());
    const bool waits = tries.is_of(resume) && tries.count() != 0;
    const DueWord due(entry.due.load_relaxed());
    if (resume != front_ || waits || own.recalled)
        rest(slot, resume, resume < front_, waits && due.waits() ? due.ns() : 0);
    else if (change(slot, SlotPhase::synced, resume))
        own.phase = Phase::synced;
}

void Member::lose(std::uint32_t slot) noexcept {
    Own& own = own_[slot];
    if (own.phase == Phase::out) drop(slot);
    own.phase = Phase::foreign;
}

/// One step of the slot's own; nothing is done when the daemon has taken it. Acquire and release: what the
/// owner before did to `tries` is seen, and what this one did is before its last word.
bool Member::change(std::uint32_t slot, SlotPhase phase, Sequence seq) noexcept {
    Own& own = own_[slot];
    const SlotWord word(SlotWord(own.word).epoch(), phase, seq);
    if (!table_.slot(slot).word.cas_acq_rel(own.word, word.word())) { // pairs with Keeper::fence
        lose(slot);
        return false;
    }
    own.word = word.word();
    return true;
}

/// Nothing is done when the daemon has taken the slot: the time is that of another's event by now.
bool Member::set_due(std::uint32_t slot, bool waits, std::uint64_t due_ns) noexcept {
    auto& due = table_.slot(slot).due;
    const std::uint32_t epoch = SlotWord(own_[slot].word).epoch();
    std::uint64_t seen = due.load_relaxed();
    // Keeper::fence leaves the next epoch there before it gives the slot to anybody.
    return DueWord(seen).epoch() == epoch &&
           due.cas_acq_rel(seen, DueWord(epoch, waits, due_ns).word());
}

void Member::rest(std::uint32_t slot, Sequence resume, bool lagging, std::uint64_t due) noexcept {
    Own& own = own_[slot];
    own.phase = Phase::rest;
    own.resume = resume;
    own.lagging = lagging;
    own.due = due;
    if (!lagging) ++ahead_;
    if (due != 0) next_due_ = next_due_ == 0 ? due : std::min(next_due_, due);
    look_for(own);
}

/// Turning back costs at most half of the way that the trail has come, so it gets to its end.
void Member::look_for(Own& own) noexcept {
    constexpr std::uint64_t near = 64;
    own.missed = false;
    if (!own.lagging || !own.may_go()) return;
    if (trail_on_ && trail_ <= own.resume) return;
    if (trail_on_ && trail_ - own.resume > std::max(near, way_ / 2)) {
        own.missed = true;
        return;
    }
    trail_ = own.resume;
    trail_on_ = true;
    way_ = 0;
}

void Member::wake_due(std::uint64_t now_ns) noexcept {
    next_due_ = 0;
    for (Own& own : own_) {
        if (own.phase != Phase::rest || own.due == 0) continue;
        if (own.due <= now_ns) {
            own.due = 0;
            look_for(own);
        } else {
            next_due_ = next_due_ == 0 ? own.due : std::min(next_due_, own.due);
        }
    }
}

// ---- looking -----------------------------------------------------------------------------------

bool Member::front_wants(std::uint32_t slot, Sequence s) noexcept {
    Own& own = own_[slot];
    switch (own.phase) {
    case Phase::foreign: return false;
    case Phase::synced: return true;
    case Phase::rest:
        if (own.lagging || s < own.resume) return false;
        if (own.may_go()) return true;
        break;
    case Phase::out:
        if (own.lagging) return false;
        break;
    }
    own.lagging = true;
    own.resume = s;
    return false;
}

void Member::pass_trail(Sequence trail) noexcept {
    if (!trail_on_) return;
    way_ += trail - std::min(trail, trail_);
    trail_ = trail;
    if (trail < front_) return;
    trail_on_ = false;
    Sequence next = front_; // where the next round begins
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        Own& own = own_[k];
        if (own.phase != Phase::rest || !own.lagging || !own.may_go()) continue;
        if (own.missed)
            next = std::min(next, own.resume);
        else if (change(k, SlotPhase::synced, front_))
            own.phase = Phase::synced;
    }
    if (next == front_) return;
    for (Own& own : own_) own.missed = false;
    trail_ = next;
    trail_on_ = true;
    way_ = 0;
}

void Member::settle() noexcept {
    if (ahead_ == 0) return;
    ahead_ = 0;
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        Own& own = own_[k];
        if (own.phase != Phase::rest || own.lagging) continue;
        if (!own.may_go() || own.resume > front_)
            ++ahead_;
        else if (change(k, SlotPhase::synced, front_))
            own.phase = Phase::synced;
    }
}

// ---- what is in hand ---------------------------------------------------------------------------

std::optional<Member::Taken> Member::take(std::uint32_t slot, Sequence s, std::uint64_t now_ns,
                                          bool by_trail) noexcept {
    auto& entry = table_.slot(slot);
    const auto wait = std::chrono::nanoseconds(options_.ack_wait).count();
    std::uint64_t seen = entry.tries.load_relaxed(); // its own still, if the slot's word is
    // Before the word says that it is out: the daemon must not find that with a time that has passed.
    if (!set_due(slot, false, now_ns + static_cast<std::uint64_t>(wait))) {
        lose(slot);
        return std::nullopt;
    }
    if (!change(slot, SlotPhase::out, s)) return std::nullopt;
    const TriesWord before(seen);
    const bool is_again = before.is_of(s) && before.count() != 0;
    const TriesWord tries(s, is_again ? before.count() + 1 : 1,
                          is_again ? before.failure() : Failure::none);
    // After it: who dies in between has handed out nothing. Not over what the slot's next owner left there.
    (void)entry.tries.cas_acq_rel(seen, tries.word());
    const bool is_too_often = options_.max_deliver != 0 && tries.count() > options_.max_deliver;
    if (is_again && !is_too_often) table_.header().redelivered.fetch_add_seq_cst(1);
    Own& own = own_[slot];
    own.phase = Phase::out;
    own.lagging = by_trail;
    own.resume = s + 1;
    hold(slot, s);
    return Taken{tries.count(), tries.failure(), is_too_often};
}

std::optional<std::uint32_t> Member::slot_of(Sequence s) const noexcept {
    for (std::uint32_t k = first_; k != none; k = own_[k].next)
        if (own_[k].at == s) return k;
    return std::nullopt;
}

bool Member::acknowledge(std::uint32_t slot) noexcept {
    Own& own = own_[slot];
    const Sequence s = own.at;
    const bool rests = own.lagging || own.recalled;
    const Sequence resume = own.lagging ? own.resume : front_;
    if (!change(slot, rests ? SlotPhase::rest : SlotPhase::synced, rests ? resume : s + 1))
        return false;
    drop(slot);
    if (rests)
        rest(slot, resume, own.lagging, 0);
    else
        own.phase = Phase::synced;
    return true;
}

bool Member::put_back(std::uint32_t slot, std::uint64_t due_ns, Failure failure) noexcept {
    Own& own = own_[slot];
    auto& entry = table_.slot(slot);
    const Sequence s = own.at;
    std::uint64_t seen = entry.tries.load_relaxed(); // its own still, if the slot's word is
    if (!is_own(slot)) return false;
    // Before the word says that it failed. Not over what the slot's next owner left there.
    (void)entry.tries.cas_acq_rel(seen, TriesWord(s, TriesWord(seen).count(), failure).word());
    if (!change(slot, SlotPhase::rest, s)) return false;
    // After it: who stops in between is late all the same. The daemon may give the slot to somebody else here,
    // who does not wait then.
    (void)set_due(slot, true, due_ns);
    drop(slot);
    rest(slot, s, true, due_ns);
    return true;
}

bool Member::touch(std::uint32_t slot, std::uint64_t now_ns) noexcept {
    if (!is_own(slot)) return false;
    const auto wait = std::chrono::nanoseconds(options_.ack_wait).count();
    if (set_due(slot, false, now_ns + static_cast<std::uint64_t>(wait))) return true;
    lose(slot);
    return false;
}

/// Whether the slot is as this member left it.
bool Member::is_own(std::uint32_t slot) noexcept {
    // Acquire: pairs with Keeper::fence; what was read before was its own.
    base::acquire_fence();
    if (table_.slot(slot).word.load_acquire() == own_[slot].word) return true;
    lose(slot);
    return false;
}

void Member::hold(std::uint32_t slot, Sequence s) noexcept {
    Own& own = own_[slot];
    own.at = s;
    own.next = none;
    own.previous = last_;
    (last_ == none ? first_ : own_[last_].next) = slot;
    last_ = slot;
    ++in_hand_;
}

void Member::drop(std::uint32_t slot) noexcept {
    Own& own = own_[slot];
    (own.previous == none ? first_ : own_[own.previous].next) = own.next;
    (own.next == none ? last_ : own_[own.next].previous) = own.previous;
    --in_hand_;
}

} // namespace shmbus::group
