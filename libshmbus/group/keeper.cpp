#include "group/keeper.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace shmbus::group {

namespace {
constexpr std::uint32_t nobody = OwnerWord::nobody;
} // namespace

Keeper::Keeper(const Table& table, GroupOptions options)
    : table_(table), options_(std::move(options)) {
    owners_.fill(nobody);
}

// ---- members -----------------------------------------------------------------------------------

void Keeper::attach(std::uint32_t member, Sequence front, Sequence head) {
    // Of who had this entry before, and was not adopted. They would be as far as the new one's front.
    for (std::uint32_t k = 0; k < key_slots; ++k)
        if (owners_[k] == nobody &&
            OwnerWord::member_of(table_.slot(k).owner.load_acquire()) == member)
            (void)fence(k, head, Failure::member_gone, 0, true);
    auto& entry = table_.member(member);
    entry.front.store_relaxed(front);
    entry.lease.store_relaxed(0);
    entry.gone.store_relaxed(0);
    entry.ended.store_release(0);
    members_[member] = {.beat = entry.beat.load_relaxed()};
}

void Keeper::adopt(std::uint32_t member) {
    members_[member] = {.beat = table_.member(member).beat.load_relaxed()};
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        const auto& slot = table_.slot(k);
        const std::uint64_t owner = slot.owner.load_acquire();
        if (owners_[k] != nobody || OwnerWord::member_of(owner) != member ||
            OwnerWord::epoch_of(owner) != SlotWord(slot.word.load_acquire()).epoch())
            continue;
        owners_[k] = member;
        recalled_[k] = OwnerWord::is_recalled(owner);
        ++members_[member].slots;
    }
}

void Keeper::detach(std::uint32_t member, Sequence head, bool shares_out) {
    if (members_.erase(member) == 0) return;
    table_.member(member).ended.store_release(1); // pairs with Member::is_over
    for (std::uint32_t k = 0; k < key_slots; ++k)
        if (owners_[k] == member) (void)fence(k, head, Failure::member_gone, 0, true);
    changed_ = true;
    if (shares_out)
        (void)balance(head);
    else
        tell();
}

void Keeper::reclaim(Sequence head) {
    for (std::uint32_t k = 0; k < key_slots; ++k)
        if (owners_[k] == nobody) (void)fence(k, head, Failure::member_gone, 0, true);
    changed_ = true;
    (void)balance(head);
}

// ---- slots -------------------------------------------------------------------------------------

/// How far the owner of a synced slot has come, as long as the slot's word is of this epoch; 0: it has none. To be
/// asked before the word is looked at, as Table::done_up_to does: what was taken since is behind this front.
Sequence Keeper::front_of(std::uint32_t k, std::uint32_t& epoch) const noexcept {
    const std::uint64_t owner = table_.slot(k).owner.load_acquire();
    epoch = OwnerWord::epoch_of(owner);
    const std::uint32_t index = OwnerWord::member_of(owner);
    return index < layout::max_members ? table_.member(index).front.load_acquire() : 0;
}

/// Takes a slot from its owner: what that one tries with it afterwards fails. @returns whether it did; not while
/// something of it is in hand, unless `also_in_hand`, nor of any other word than `only`.
bool Keeper::fence(std::uint32_t k, Sequence head, Failure why, std::uint64_t now_ns,
                   bool also_in_hand, std::optional<std::uint64_t> only) {
    auto& slot = table_.slot(k);
    std::uint32_t epoch = 0;
    const Sequence front = front_of(k, epoch);
    std::uint64_t seen = slot.word.load_acquire();
    Sequence seq = 0;
    for (;;) {
        const SlotWord word(seen);
        if (only && seen != *only) return false;
        if (word.phase() == SlotPhase::out && !also_in_hand) return false;
        seq = word.seq(head);
        if (word.phase() == SlotPhase::synced && word.epoch() == epoch)
            seq = std::max(seq, std::min(front, head + 1));
        const SlotWord next(word.epoch() + 1, SlotPhase::rest, seq);
        if (slot.word.cas_acq_rel(seen, next.word())) break; // pairs with Member::change
    }
    const TriesWord tries(slot.tries.load_relaxed());
    // What waits goes on to; of its last owner's event in hand no time counts any more.
    const DueWord due(slot.due.load_relaxed());
    std::uint64_t waits_until = due.waits() ? due.ns() : 0;
    if (SlotWord(seen).phase() == SlotPhase::out) {
        // Of an event that was handed out; one that died before that has handed out nothing.
        const bool was_handed_out = tries.is_of(seq);
        if (was_handed_out) slot.tries.store_relaxed(TriesWord(seq, tries.count(), why).word());
        const std::uint64_t pause = back_off_ns(options_, tries.count());
        waits_until =
            was_handed_out && why == Failure::timed_out && pause != 0 ? now_ns + pause : 0;
    }
    // Release: pairs with Member::set_due.
    slot.due.store_release(
        DueWord(SlotWord(seen).epoch() + 1, waits_until != 0, waits_until).word());
    if (const auto owner = members_.find(owners_[k]); owner != members_.end())
        --owner->second.slots;
    owners_[k] = nobody;
    recalled_[k] = false;
    changed_ = true;
    return true;
}

/// @pre it was fenced
void Keeper::give(std::uint32_t k, std::uint32_t member) {
    auto& slot = table_.slot(k);
    const auto epoch = SlotWord(slot.word.load_relaxed()).epoch();
    slot.owner.store_release(OwnerWord::make(epoch, member, false)); // pairs with Member::take_over
    owners_[k] = member;
    recalled_[k] = false;
    ++members_.at(member).slots;
    changed_ = true;
}

void Keeper::recall(std::uint32_t k, bool yes) {
    if (std::exchange(recalled_[k], yes) == yes) return;
    auto& slot = table_.slot(k);
    const auto epoch = OwnerWord::epoch_of(slot.owner.load_relaxed());
    slot.owner.store_release(OwnerWord::make(epoch, owners_[k], yes));
    changed_ = true;
}

/// Members look at whose slots are whose when this has moved.
void Keeper::tell() {
    if (!std::exchange(changed_, false)) return;
    table_.header().moves.fetch_add_seq_cst(1); // pairs with Member::look_around
}

bool Keeper::is_out(std::uint32_t k) const noexcept {
    return SlotWord(table_.slot(k).word.load_acquire()).phase() == SlotPhase::out;
}

// ---- sharing out -------------------------------------------------------------------------------

/// The member with the fewest slots, another than `but` if there is one, and no stalled one if there is another.
std::uint32_t Keeper::poorest(std::uint32_t but) const noexcept {
    std::uint32_t best = nobody;
    const auto rank = [&](std::uint32_t member) {
        const auto& standing = members_.at(member);
        return std::tuple(standing.stalled, member == but, standing.slots);
    };
    for (const auto& [member, standing] : members_)
        if (best == nobody || rank(member) < rank(best)) best = member;
    return best;
}

void Keeper::share_out_unowned() {
    for (std::uint32_t k = 0; k < key_slots; ++k)
        if (owners_[k] == nobody) give(k, poorest(nobody));
}

/// What each member has too much of, so that as few slots move as can: the richest keep one more, where the slots
/// cannot be divided.
std::map<std::uint32_t, std::uint32_t> Keeper::surplus() const {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> live; // slots, member
    std::map<std::uint32_t, std::uint32_t> surplus;
    for (const auto& [member, standing] : members_)
        if (standing.stalled)
            surplus[member] = standing.slots;
        else
            live.emplace_back(standing.slots, member);
    if (live.empty()) return {};
    std::sort(live.rbegin(), live.rend());
    const auto count = static_cast<std::uint32_t>(live.size());
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t share = key_slots / count + (i < key_slots % count ? 1 : 0);
        if (const auto [slots, member] = live[i]; slots > share) surplus[member] = slots - share;
    }
    return surplus;
}

/// @returns whether some slots that are to move are in hand
bool Keeper::level(Sequence head) {
    auto surplus = this->surplus();
    const auto take_one_of = [&](std::uint32_t member) -> std::uint32_t* {
        const auto found = surplus.find(member);
        return found == surplus.end() || found->second == 0 ? nullptr : &found->second;
    };
    // Each time from where the last search ended, so that none moves again and again.
    const std::uint32_t begin = round_;
    for (std::uint32_t i = 0; i < key_slots && !surplus.empty(); ++i) {
        const std::uint32_t k = (begin + i) % key_slots;
        std::uint32_t* too_many = take_one_of(owners_[k]);
        if (too_many == nullptr || !fence(k, head, Failure::none, 0, false)) continue;
        --*too_many;
        give(k, poorest(nobody));
        round_ = (k + 1) % key_slots;
    }
    bool is_left = false;
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        std::uint32_t* too_many = take_one_of(owners_[k]);
        recall(k, too_many != nullptr);
        if (too_many == nullptr) continue;
        --*too_many;
        is_left = true;
    }
    return is_left;
}

bool Keeper::balance(Sequence head) {
    if (!members_.empty()) {
        share_out_unowned();
        is_moving_ = level(head);
    } else {
        is_moving_ = false;
    }
    const bool changed = changed_;
    tell();
    return changed;
}

// ---- what is past its time ---------------------------------------------------------------------

bool Keeper::take_overdue(std::uint64_t now_ns, Sequence head) {
    bool taken = false;
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        const auto& slot = table_.slot(k);
        const std::uint64_t word = slot.word.load_acquire();
        if (owners_[k] == nobody || SlotWord(word).phase() != SlotPhase::out) continue;
        if (DueWord(slot.due.load_relaxed()).ns() > now_ns || slot.word.load_acquire() != word)
            continue;
        const std::uint32_t owner = owners_[k];
        // It may be acknowledged at this moment, and another event be out, which is not late.
        if (!fence(k, head, Failure::timed_out, now_ns, true, word)) continue;
        give(k, poorest(owner));
        taken = true;
    }
    return taken;
}

/// Of which members a slot has something to do, now, that is in nobody's hands: it failed, or came to it so.
std::array<bool, layout::max_members> Keeper::find_leftovers(std::uint64_t now_ns,
                                                             Sequence head) const noexcept {
    std::array<bool, layout::max_members> found{};
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        const auto& slot = table_.slot(k);
        const SlotWord word(slot.word.load_acquire());
        const Sequence seq = word.seq(head);
        if (owners_[k] == nobody || word.phase() != SlotPhase::rest || seq > head) continue;
        const DueWord due(slot.due.load_relaxed());
        const bool waits =
            TriesWord(slot.tries.load_relaxed()).is_of(seq) && due.waits() && due.ns() > now_ns;
        if (!waits) found[owners_[k]] = true;
    }
    return found;
}

bool Keeper::find_stalled(std::uint64_t now_ns, Sequence head) {
    const auto longest =
        static_cast<std::uint64_t>(std::chrono::nanoseconds(options_.ack_wait).count());
    bool found = false;
    const auto leftovers = find_leftovers(now_ns, head);
    for (auto& [index, member] : members_) {
        const auto& entry = table_.member(index);
        const std::uint64_t beat = entry.beat.load_relaxed();
        const bool is_idle = entry.front.load_acquire() > head && !leftovers[index];
        if (std::exchange(member.beat, beat) != beat || member.since_ns == 0) {
            member.since_ns = now_ns;
            found |= std::exchange(member.stalled, false);
        } else if (is_idle) {
            member.since_ns = now_ns; // who was stalled has to look first
        } else if (!member.stalled && now_ns - member.since_ns > longest) {
            member.stalled = true;
            found = true;
        }
    }
    return found;
}

/// Who has closed its subscription, and not let go of all of its events.
bool Keeper::find_gone(Sequence head) {
    std::vector<std::uint32_t> gone;
    for (const auto& [index, member] : members_)
        if (table_.member(index).gone.load_acquire() != 0) gone.push_back(index);
    for (const std::uint32_t index : gone) detach(index, head);
    return !gone.empty();
}

bool Keeper::sweep(std::uint64_t now_ns, Sequence head, bool is_paused) {
    const bool gone = find_gone(head);
    if (members_.empty()) return gone;
    if (is_paused)
        for (auto& [index, member] : members_) member.since_ns = 0;
    const bool overdue = take_overdue(now_ns, head);
    const bool stalled = !is_paused && find_stalled(now_ns, head);
    // Not for what is overdue alone: its slots would go back to who was late.
    if (stalled || is_moving_) return balance(head) || gone;
    tell();
    return overdue || gone;
}

// ---- what is seen from outside -----------------------------------------------------------------

Keeper::Standing Keeper::standing(std::uint32_t index) const noexcept {
    const auto found = members_.find(index);
    if (found == members_.end()) return {};
    Standing standing{.slots = found->second.slots,
                      .position = table_.member(index).front.load_acquire(),
                      .stalled = found->second.stalled};
    for (std::uint32_t k = 0; k < key_slots; ++k)
        if (owners_[k] == index && is_out(k)) ++standing.in_flight;
    return standing;
}

std::uint32_t Keeper::waiting() const noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        const auto& slot = table_.slot(k);
        const SlotWord word(slot.word.load_acquire());
        const TriesWord tries(slot.tries.load_relaxed());
        if (word.phase() == SlotPhase::rest && tries.count() != 0 && tries.is_of(word.word()))
            ++count;
    }
    return count;
}

std::vector<KeySlotState> Keeper::states(Sequence head) const {
    std::vector<KeySlotState> states(key_slots);
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        const auto& slot = table_.slot(k);
        std::uint32_t epoch = 0;
        const Sequence front = front_of(k, epoch);
        const SlotWord word(slot.word.load_acquire());
        Sequence seq = word.seq(head);
        if (word.phase() == SlotPhase::synced && word.epoch() == epoch)
            seq = std::max(seq, std::min(front, head + 1));
        const TriesWord tries(slot.tries.load_relaxed());
        states[k].seq = std::min(seq, head + 1);
        if (!tries.is_of(seq)) continue;
        states[k].tries = tries.count();
        states[k].failure = tries.failure();
    }
    return states;
}

void Keeper::restore(const std::vector<KeySlotState>& states) {
    for (std::uint32_t k = 0; k < key_slots && k < states.size(); ++k) {
        auto& slot = table_.slot(k);
        const auto& state = states[k];
        const auto epoch = SlotWord(slot.word.load_relaxed()).epoch();
        slot.word.store_relaxed(SlotWord(epoch, SlotPhase::rest, state.seq).word());
        slot.tries.store_relaxed(TriesWord(state.seq, state.tries, state.failure).word());
    }
}

} // namespace shmbus::group
