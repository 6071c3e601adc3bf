#include "fuzz/group_play.hpp"

#include <algorithm>
#include <utility>

namespace shmbus::test {

using layout::Failure;
using layout::OwnerWord;
using layout::SlotPhase;
using layout::SlotWord;
using layout::TriesWord;

namespace {

constexpr layout::Uuid topic{1};
constexpr std::uint64_t second = 1'000'000'000;
constexpr std::size_t most_members = 6;
constexpr Sequence most_events = 400;
/// What a member does in one step, at most: what a hostile one has it look for may be far away.
constexpr std::size_t most_looks = 64;

} // namespace

GroupOptions take_options(Input& input) {
    constexpr std::uint32_t deliveries[] = {0, 1, 3, 4'000};
    constexpr std::uint32_t in_flight[] = {1, 2, 5, key_slots};
    GroupOptions options{.ack_wait = std::chrono::seconds(1 + input.pick(60)),
                         .max_deliver = deliveries[input.pick(4)],
                         .max_in_flight = in_flight[input.pick(4)],
                         .order = static_cast<Order>(input.pick(2))};
    for (auto pauses = input.pick(9); pauses != 0; --pauses)
        options.back_off.emplace_back(std::chrono::seconds(input.pick(4)));
    return options;
}

GroupPlay::GroupPlay(Input& input, bool hostile)
    : input_(input), hostile_(hostile), options_(take_options(input)),
      begin_(input.pick(2) == 0 ? 1 : (Sequence{1} << 48U) - 20),
      spread_(std::array{1U, 5U, 40U, key_slots}.at(input.pick(4))), table_(memory_.bytes()),
      head_(begin_ - 1), done_through_(begin_), done_(most_events), handed_out_(most_events) {
    group::format(memory_.bytes(), topic, options_, begin_);
    keeper_ = std::make_unique<group::Keeper>(table_, options_);
}

std::uint32_t GroupPlay::slot_of(Sequence s) const noexcept {
    const auto hash = static_cast<std::uint32_t>(s * 2'654'435'761U >> 7U);
    return layout::key_slot_of(Order::per_key, true, hash % spread_, s);
}

void GroupPlay::step() {
    if (hostile_) scribble();
    switch (input_.pick(20)) {
    case 0: publish(); break;
    case 1: join(); break;
    case 2: end_one(); break;
    case 3: close_one(); break;
    case 4:
    case 5: look(); break;
    case 6:
    case 7:
        if (auto* one = someone()) look_at_front(*one, 1 + input_.pick(most_looks));
        break;
    case 8:
        if (auto* one = someone()) look_at_trail(*one, 1 + input_.pick(most_looks));
        break;
    case 9:
    case 10: finish_some(); break;
    case 11: fail_one(); break;
    case 12: touch_one(); break;
    case 13: now_ += second * (1 + input_.pick(120)) / 4; break;
    case 14: sweep(input_.pick(4) == 3); break;
    case 15:
        if (!is_adopting_) (void)keeper_->balance(head_);
        break;
    case 16: restart_daemon(); break;
    case 17: reclaim(); break;
    case 18: keep_and_restore(); break;
    default: look_from_outside(); break;
    }
    check_done();
}

GroupPlay::Someone* GroupPlay::someone() {
    if (all_.empty()) return nullptr;
    auto one = all_.begin();
    std::advance(one, input_.pick(all_.size()));
    return &one->second;
}

void GroupPlay::publish() {
    head_ = std::min(head_ + 1 + input_.pick(32), begin_ + most_events - 1);
}

/// Reader entries of who is dead go to others.
void GroupPlay::join() {
    const auto index = static_cast<std::uint32_t>(input_.pick(most_members)) * 51;
    if (all_.contains(index)) return;
    const Sequence front = table_.done_up_to(head_) + 1;
    keeper_->attach(index, front, head_);
    if (!is_adopting_) (void)keeper_->balance(head_);
    if (hostile_) scribble();
    auto& member = all_[index].member;
    member = std::make_unique<group::Member>(table_, index, options_, front);
    (void)member->look_around(); // before its first look
}

/// It dies, or the daemon believes so and it goes on; later it is dead.
void GroupPlay::end_one() {
    auto* one = someone();
    if (one == nullptr) return;
    const auto found = std::find_if(all_.begin(), all_.end(),
                                    [&](const auto& each) { return &each.second == one; });
    if (one->is_known) keeper_->detach(found->first, head_, !is_adopting_);
    const bool lingers = one->is_known && input_.pick(2) == 0;
    one->is_known = false;
    if (!lingers) all_.erase(found);
}

void GroupPlay::close_one() {
    if (auto* one = someone()) {
        one->member->leave();
        one->is_closed = true;
    }
}

/// As at the begin of each receive().
void GroupPlay::look() {
    auto* one = someone();
    if (one == nullptr || one->is_closed) return;
    (void)one->member->look_around();
    one->member->beat();
    one->member->wake(now_);
    if (input_.pick(2) == 0) one->member->settle();
}

void GroupPlay::look_at_front(Someone& one, std::size_t events) {
    auto& member = *one.member;
    for (; events != 0 && !one.is_closed && !member.is_full() && member.front() <= head_;
         --events) {
        const Sequence s = member.front();
        if (member.front_wants(slot_of(s), s)) take(member, s, false);
        member.pass(s + 1);
    }
}

void GroupPlay::look_at_trail(Someone& one, std::size_t events) {
    auto& member = *one.member;
    for (; events != 0 && !one.is_closed && !member.is_full() && member.trail(); --events) {
        const Sequence s = *member.trail();
        const bool is_there = s >= begin_ && s < member.front() && s <= head_;
        if (!hostile_) expect(is_there || s >= member.front());
        if (is_there && member.trail_wants(slot_of(s), s)) take(member, s, true);
        member.pass_trail(s + 1);
    }
}

void GroupPlay::take(group::Member& member, Sequence s, bool by_trail) {
    if (hostile_) scribble();
    const auto slot = slot_of(s);
    const auto taken = member.take(slot, s, now_, by_trail);
    if (!taken) return;
    expect(member.slot_of(s) == slot && member.in_hand() <= options_.max_in_flight);
    if (!hostile_) {
        expect(!done_[s - begin_] && taken->attempt == ++handed_out_[s - begin_]);
        expect(member.attempts(slot) == taken->attempt);
    }
    if (taken->is_too_often) finish(member, slot, s);
}

/// In each slot they are done one after the other.
void GroupPlay::finish(group::Member& member, std::uint32_t slot, Sequence s) {
    if (!member.acknowledge(slot) || hostile_) return;
    for (Sequence before = begin_; before < s; ++before)
        expect(done_[before - begin_] || slot_of(before) != slot);
    expect(!done_[s - begin_]);
    done_[s - begin_] = true;
    while (done_through_ <= head_ && done_[done_through_ - begin_]) ++done_through_;
}

void GroupPlay::finish_some() {
    auto* one = someone();
    if (one == nullptr) return;
    const std::uint64_t which = input_.take<std::uint8_t>() | 1U;
    std::uint64_t i = 0;
    one->member->for_each_in_hand([&](std::uint32_t slot, Sequence s) {
        if (hostile_ && i < 4) scribble();
        if ((which >> i++ % 8 & 1U) != 0) finish(*one->member, slot, s);
    });
}

void GroupPlay::fail_one() {
    auto* one = someone();
    if (one == nullptr) return;
    auto skip = input_.pick(4);
    const auto due = input_.pick(2) == 0 ? 0 : now_ + second * input_.pick(10);
    one->member->for_each_in_hand([&](std::uint32_t slot, Sequence) {
        if (skip-- == 0) (void)one->member->put_back(slot, due, Failure::nacked);
    });
}

void GroupPlay::touch_one() {
    auto* one = someone();
    if (one == nullptr) return;
    const Sequence s = begin_ + input_.take<std::uint8_t>();
    if (const auto slot = one->member->slot_of(s)) (void)one->member->touch(*slot, now_);
}

void GroupPlay::sweep(bool is_paused) {
    if (is_adopting_) return;
    (void)keeper_->sweep(now_, head_, is_paused);
}

/// The next daemon knows some of them at once; those that it does not hear of are dead, or do not know it.
void GroupPlay::restart_daemon() {
    keeper_ = std::make_unique<group::Keeper>(table_, options_);
    is_adopting_ = true;
    for (auto each = all_.begin(); each != all_.end();) {
        if (hostile_) scribble();
        auto& [index, one] = *each;
        const auto fate = one.is_known ? input_.pick(4) : 2U;
        if (fate < 2) keeper_->adopt(index);
        one.is_known = fate < 2;
        each = fate == 3 ? all_.erase(each) : std::next(each);
    }
}

void GroupPlay::reclaim() {
    if (!std::exchange(is_adopting_, false)) return;
    keeper_->reclaim(head_);
}

/// With its last member a group's memory goes; when the next one comes, there is new memory.
void GroupPlay::keep_and_restore() {
    for (const auto& [index, one] : all_)
        if (one.is_known) keeper_->detach(index, head_, !is_adopting_);
    const auto states = keeper_->states(head_);
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        expect(states[k].seq <= head_ + 1);
        if (!hostile_) expect(states[k].seq >= begin_);
    }
    all_.clear();
    std::memset(memory_.bytes().data(), 0, layout::group_bytes);
    group::format(memory_.bytes(), topic, options_, begin_);
    keeper_ = std::make_unique<group::Keeper>(table_, options_);
    keeper_->restore(states);
    is_adopting_ = false;
}

void GroupPlay::look_from_outside() {
    std::uint32_t slots = 0;
    for (const auto& [index, one] : all_) {
        const auto standing = keeper_->standing(index);
        expect(standing.slots <= key_slots && standing.in_flight <= standing.slots);
        slots += standing.slots;
    }
    expect(slots <= key_slots && keeper_->waiting() <= key_slots);
    for (const auto& state : keeper_->states(head_)) expect(state.seq <= head_ + 1);
}

void GroupPlay::check_done() {
    const Sequence done = table_.done_up_to(head_);
    expect(done <= head_);
    if (!hostile_) expect(done < done_through_);
}

void GroupPlay::end() {
    reclaim();
    for (auto each = all_.begin(); each != all_.end();) {
        const auto& [index, one] = *each;
        if (one.is_known && one.is_closed) keeper_->detach(index, head_);
        each = one.is_known && !one.is_closed ? std::next(each) : all_.erase(each);
    }
    if (all_.empty()) join();
    (void)keeper_->balance(head_);
    constexpr int most_rounds = 20;
    for (int round = 0; round < most_rounds && table_.done_up_to(head_) < head_; ++round) {
        for (auto& [index, one] : all_) work_off(one);
        now_ += 100 * second; // nothing waits longer
        sweep(false);
    }
    if (!hostile_) expect(table_.done_up_to(head_) == head_ && done_through_ == head_ + 1);
}

/// Does all that it can do now.
void GroupPlay::work_off(Someone& one) {
    auto& member = *one.member;
    const auto finish_all = [&] {
        member.for_each_in_hand([&](std::uint32_t slot, Sequence s) { finish(member, slot, s); });
    };
    finish_all();
    (void)member.look_around();
    member.beat();
    member.wake(now_);
    for (Sequence i = 0; i < 2 * most_events && (member.trail() || member.front() <= head_); ++i) {
        if (hostile_ && i % 16 == 0) scribble();
        look_at_trail(one, 1);
        look_at_front(one, 1);
        finish_all();
    }
    member.settle();
    check_done();
}

// ---- whatever may be written -------------------------------------------------------------------

/// What is there with one bit turned, a number that is special, or what those who keep to the rules could write.
std::uint64_t GroupPlay::something(std::uint64_t was) {
    const auto what = input_.take<std::uint8_t>();
    const Sequence near = head_ + (what >> 4U) - 8;
    const auto epoch = SlotWord(was).epoch() + (what >> 6U);
    switch (what & 7U) {
    case 0: return was ^ std::uint64_t{1} << (input_.take<std::uint8_t>() % 64U);
    case 1: return SlotWord(epoch, static_cast<SlotPhase>(input_.pick(4)), near).word();
    case 2: return TriesWord(near, input_.take<std::uint8_t>() * 16U, Failure::timed_out).word();
    case 3:
        return OwnerWord::make(epoch, static_cast<std::uint32_t>(input_.pick(8)) * 51, what > 99);
    case 4: return near;
    case 5: return (std::uint64_t{1} << (what >> 2U)) - input_.pick(3);
    case 6: return now_ + what;
    default: return input_.take<std::uint64_t>();
    }
}

void GroupPlay::scribble() {
    auto* const words = reinterpret_cast<base::Word64*>(memory_.bytes().data());
    for (auto count = input_.pick(8); count != 0 && !input_.empty(); --count) {
        const auto where = input_.take<std::uint8_t>();
        std::size_t at = 0;
        if (where < 128) // one of a slot's that is in use
            at = layout::group_slots_at + slot_of(begin_ + where % 32U) * 64U + where / 32U * 8U;
        else if (where < 192) // what a member says of itself
            at = layout::group_members_at + (where % 8U) * 51U * 128U + (where / 8U % 4U) * 8U;
        else if (where < 208) // the header
            at = where % 16U * 8U + input_.pick(4) * 128;
        else
            at = input_.take<std::uint16_t>() * 8U % layout::group_bytes;
        auto& word = words[at / 8];
        word.store_relaxed(something(word.load_relaxed()));
    }
}

} // namespace shmbus::test
