// Whose each slot is: sharing out, moving, taking from the dead, the late and the stalled.
#include "group/fixture.hpp"

#include <random>

namespace shmbus::group {
namespace {

class KeeperTest : public GroupTest {
  protected:
    [[nodiscard]] std::uint32_t slots_of(std::uint32_t member) const {
        return keeper->standing(member).slots;
    }
};

TEST_F(KeeperTest, SharesSlotsOutEvenly) {
    join(1);
    EXPECT_EQ(slots_of(1), 1024U);
    join(2);
    EXPECT_EQ(slots_of(1), 512U);
    EXPECT_EQ(slots_of(2), 512U);
    join(3);
    EXPECT_EQ(slots_of(1) + slots_of(2) + slots_of(3), 1024U);
    for (const std::uint32_t i : {1U, 2U, 3U}) EXPECT_NEAR(slots_of(i), 341, 1);
    keeper->detach(1, head);
    EXPECT_EQ(slots_of(2), 512U);
}

TEST_F(KeeperTest, MovesNoMoreThanItMust) {
    join(1);
    join(2);
    const auto owners = [&] {
        std::vector<std::uint32_t> all;
        for (std::uint32_t k = 0; k < key_slots; ++k)
            all.push_back(OwnerWord::member_of(table.slot(k).owner.load_acquire()));
        return all;
    };
    const auto before = owners();
    join(3);
    const auto after = owners();
    std::uint32_t moved = 0;
    for (std::uint32_t k = 0; k < key_slots; ++k) moved += before[k] == after[k] ? 0U : 1U;
    EXPECT_EQ(moved, slots_of(3));
}

TEST_F(KeeperTest, WhatIsInHandMovesWhenItIsDone) {
    auto& one = join(1);
    head = 1024;
    receive(one, true); // all slots are out
    auto& two = join(2);
    EXPECT_EQ(slots_of(2), 0U);
    EXPECT_TRUE(keeper->is_moving());
    head = 2048;
    look_around();
    one.for_each_in_hand([&](std::uint32_t k, Sequence) { EXPECT_TRUE(one.acknowledge(k)); });
    EXPECT_TRUE(keeper->balance(head));
    EXPECT_FALSE(keeper->is_moving());
    EXPECT_EQ(slots_of(2), 512U);
    EXPECT_EQ(receive(one).size(), 512U);
    EXPECT_EQ(receive(two).size(), 512U);
    EXPECT_EQ(table.done_up_to(head), 2048U);
}

/// Else it would never be found at rest.
TEST_F(KeeperTest, OfARecalledSlotNothingMoreIsTaken) {
    auto& one = join(1);
    head = 1024;
    receive(one, true); // all slots are out
    join(2);
    const auto is_recalled = [&](std::uint32_t k) {
        return OwnerWord::is_recalled(table.slot(k).owner.load_acquire());
    };
    std::uint32_t recalled = 0;
    one.for_each_in_hand([&](std::uint32_t k, Sequence) {
        recalled += is_recalled(k) ? 1U : 0U;
        EXPECT_TRUE(one.acknowledge(k));
    });
    EXPECT_EQ(recalled, 512U);
    head = 2048; // another event for each slot
    const auto taken = receive(one, true);
    EXPECT_EQ(taken.size(), 512U);
    for (const Sequence s : taken) EXPECT_FALSE(is_recalled(slot(s)));
}

TEST_F(KeeperTest, AfterADeathItsEventsComeAgainAtOnce) {
    auto& one = join(1);
    auto& two = join(2);
    head = 10;
    const auto with_one = receive(one, true);
    const auto with_two = receive(two);
    EXPECT_EQ(with_one.size() + with_two.size(), 10U);
    members.erase(1);
    keeper->detach(1, head);
    EXPECT_EQ(receive(two), with_one);
    for (const Sequence s : with_one) {
        const TriesWord tries(table.slot(slot(s)).tries.load_relaxed());
        EXPECT_EQ(tries.count(), 2U);
        EXPECT_EQ(tries.failure(), Failure::member_gone);
    }
}

TEST_F(KeeperTest, WhatWasDoneDoesNotComeAgain) {
    auto& one = join(1);
    head = 3000;
    receive(one);
    members.erase(1);
    keeper->detach(1, head);
    auto& two = join(2);
    EXPECT_THAT(receive(two), ElementsAre());
    head = 3001;
    EXPECT_THAT(receive(two), ElementsAre(3001));
}

TEST_F(KeeperTest, WhoIsLateLosesItsSlotToAnother) {
    auto& one = join(1);
    auto& two = join(2);
    head = 20;
    const auto taken = receive(one, true);
    const auto others = receive(two);
    now += 31 * second;
    two.beat();
    one.beat();
    EXPECT_TRUE(keeper->sweep(now, head, false));
    EXPECT_EQ(receive(two), taken);
    for (const Sequence s : taken) {
        ASSERT_TRUE(one.slot_of(s));
        EXPECT_FALSE(one.acknowledge(slot(s)));
    }
}

TEST_F(KeeperTest, AloneItGetsTheLateEventAgainAfterAPause) {
    options.back_off = {std::chrono::seconds(2)};
    keeper = std::make_unique<Keeper>(table, options);
    auto& one = join(1);
    head = 1;
    receive(one, true);
    now += 31 * second;
    one.beat();
    EXPECT_TRUE(keeper->sweep(now, head, false));
    EXPECT_THAT(receive(one), ElementsAre()) << "back_off";
    EXPECT_EQ(one.in_hand(), 0U);
    now += 3 * second;
    EXPECT_THAT(receive(one), ElementsAre(1));
}

TEST_F(KeeperTest, WhoIsStalledKeepsNothingUntilItLooksAgain) {
    auto& one = join(1);
    auto& two = join(2);
    head = 100;
    keeper->sweep(now, head, false);
    const auto others = receive(two);
    for (int i = 0; i < 2; ++i) {
        now += 20 * second;
        two.beat();
        keeper->sweep(now, head, false);
    }
    EXPECT_TRUE(keeper->standing(1).stalled);
    EXPECT_EQ(slots_of(1), 0U);
    EXPECT_EQ(receive(two).size(), 100 - others.size()) << "all that was the other one's";
    receive(one);
    keeper->sweep(now, head, false);
    EXPECT_FALSE(keeper->standing(1).stalled);
    EXPECT_EQ(slots_of(1), 512U);
}

/// It had nobody else to go to when its time was over; and it is behind the front, where nobody looks for it.
TEST_F(KeeperTest, WhatCameBackToOneThatIsStoppedGoesToTheNext) {
    auto& one = join(1);
    head = 1;
    EXPECT_THAT(receive(one, true), ElementsAre(1));
    now += 31 * second;
    EXPECT_TRUE(keeper->sweep(now, head, false));
    auto& two = join(2);
    std::vector<Sequence> taken;
    for (int i = 0; i < 3; ++i) {
        now += 20 * second;
        two.beat();
        keeper->sweep(now, head, false);
        for (const Sequence s : receive(two)) taken.push_back(s);
    }
    EXPECT_THAT(taken, ElementsAre(1));
    EXPECT_TRUE(keeper->standing(1).stalled);
}

TEST_F(KeeperTest, WhoHasNothingToLookAtIsNotStalled) {
    auto& one = join(1);
    join(2);
    head = 10;
    receive(one);
    receive(*members[2]);
    for (int i = 0; i < 5; ++i) {
        now += 20 * second;
        EXPECT_FALSE(keeper->sweep(now, head, false));
    }
    EXPECT_EQ(slots_of(1), 512U);
}

TEST_F(KeeperTest, WhoIsPausedIsNotStalled) {
    join(1);
    join(2);
    head = 10;
    for (int i = 0; i < 5; ++i) {
        now += 20 * second;
        EXPECT_FALSE(keeper->sweep(now, head, true));
    }
    EXPECT_FALSE(keeper->sweep(now, head, false)) << "its time begins now";
}

TEST_F(KeeperTest, WhoIsGoneBeforeItsEventsAreLeavesItsSlots) {
    auto& one = join(1);
    join(2);
    one.leave();
    EXPECT_TRUE(keeper->sweep(now, head, false));
    EXPECT_EQ(slots_of(2), 1024U);
    EXPECT_TRUE(one.is_over());
}

/// Another daemon takes over: members that are there keep all, those that are not nothing.
TEST_F(KeeperTest, AnotherKeeperGoesOn) {
    auto& one = join(1);
    auto& two = join(2);
    head = 10;
    const auto with_one = receive(one, true);
    const auto with_two = receive(two, true);
    keeper = std::make_unique<Keeper>(table, options);
    keeper->adopt(1);
    keeper->reclaim(head);
    for (const Sequence s : with_one) EXPECT_TRUE(one.acknowledge(slot(s)));
    for (const Sequence s : with_two) EXPECT_FALSE(two.acknowledge(slot(s)));
    EXPECT_EQ(slots_of(1), 1024U);
    EXPECT_EQ(receive(one), with_two);
    EXPECT_EQ(table.done_up_to(head), 10U);
}

/// What members wrote says whose a slot is; each goes to one of them all the same.
TEST_F(KeeperTest, AnotherKeeperGivesNoSlotTwice) {
    join(1);
    keeper = std::make_unique<Keeper>(table, options);
    keeper->adopt(1);
    for (std::uint32_t k = 0; k < key_slots; ++k)
        table.slot(k).owner.store_relaxed(OwnerWord::make(word(k).epoch(), 2, false));
    keeper->adopt(2);
    keeper->reclaim(head);
    EXPECT_EQ(slots_of(1), 512U);
    EXPECT_EQ(slots_of(2), 512U);
}

/// Before the slots of who is missed are shared out its entry may be another's, whose front is further than what that
/// one has done.
TEST_F(KeeperTest, WhoGetsTheEntryOfTheMissedGetsNoneOfItsSlots) {
    auto& one = join(1);
    head = 5;
    receive(one);
    keeper = std::make_unique<Keeper>(table, options);
    keeper->attach(1, 6, head);
    members[1] = std::make_unique<Member>(table, 1, options, 6);
    head = 10;
    EXPECT_THAT(receive(*members[1]), ElementsAre());
    EXPECT_EQ(table.done_up_to(head), 5U);
    keeper->reclaim(head);
    EXPECT_EQ(receive(*members[1]).size(), 5U);
    EXPECT_EQ(table.done_up_to(head), 10U);
}

/// Also how far the front of one had come that is there no more.
TEST_F(KeeperTest, AnotherKeeperKnowsWhatTheDeadHadDone) {
    auto& one = join(1);
    head = 5000;
    receive(one);
    members.clear();
    keeper = std::make_unique<Keeper>(table, options);
    for (const auto& state : keeper->states(head)) EXPECT_EQ(state.seq, 5001U);
    keeper->reclaim(head);
    auto& two = join(2, 1);
    EXPECT_THAT(receive(two), ElementsAre());
}

TEST_F(KeeperTest, WhatIsKeptComesBack) {
    options.max_deliver = 3;
    auto& one = join(1);
    head = 3;
    receive(one, true);
    one.acknowledge(slot(1));
    one.put_back(slot(2), 0, Failure::nacked);
    const auto states = keeper->states(head);
    EXPECT_EQ(states[slot(2)], (KeySlotState{2, 1, Failure::nacked}));
    EXPECT_EQ(states[slot(3)], (KeySlotState{3, 1, Failure::none}));
    EXPECT_EQ(states[slot(1)].seq, 4U);

    std::fill(memory.begin(), memory.end(), std::byte{});
    format(memory, layout::Uuid{1}, options, 1);
    keeper = std::make_unique<Keeper>(table, options);
    keeper->restore(states);
    members.clear();
    auto& two = join(1, 1);
    EXPECT_THAT(receive(two, true), ElementsAre(2, 3));
    EXPECT_EQ(two.attempts(slot(2)), 2U);
}

/// Also when the event that failed is the next one of a slot that is synced.
TEST_F(KeeperTest, HowOftenAnEventCameIsKept) {
    auto& one = join(1);
    head = 1;
    receive(one, true);
    keeper->detach(1, head);
    members.clear();
    auto& two = join(2);
    two.settle();
    ASSERT_EQ(word(slot(1)).phase(), SlotPhase::synced);
    EXPECT_EQ(keeper->states(head)[slot(1)], (KeySlotState{1, 1, Failure::member_gone}));
}

/// Members come, go, die, fail and are late, in an order that chance gives: what all take together is every event,
/// of each slot in order, and again only what was in somebody's hands.
TEST_F(KeeperTest, NothingIsMissedWhateverHappens) {
    std::mt19937 random(20'261'130); // NOLINT: the same every time
    const auto chance = [&](unsigned of) { return random() % of == 0; };
    for (Sequence s = 1; s <= 2'000; ++s) slots[s] = static_cast<std::uint32_t>(random() % 40);
    std::map<std::uint32_t, Sequence> last; // of each slot, the last event that was done
    std::vector<int> done(2'001);
    const auto finish = [&](Member& member, std::uint32_t k, Sequence s) {
        if (!member.acknowledge(k)) return;
        EXPECT_LT(last[k], s) << "slot " << k;
        last[k] = s;
        ++done[s];
    };
    std::uint32_t next_index = 0;
    join(next_index++);
    while (table.done_up_to(head) < 2'000) {
        head = std::min<Sequence>(head + random() % 50, 2'000);
        if (members.size() < 8 && chance(10)) join(next_index++ % 256, table.done_up_to(head) + 1);
        if (members.size() > 1 && chance(15)) {
            auto victim = members.begin();
            std::advance(victim, random() % members.size());
            const auto index = victim->first;
            members.erase(victim);
            keeper->detach(index, head);
        }
        for (auto& each : members) {
            auto& member = *each.second;
            if (chance(4)) continue;
            receive(member, true);
            member.for_each_in_hand([&](std::uint32_t k, Sequence s) {
                if (chance(3)) return;
                if (chance(6))
                    (void)member.put_back(k, chance(2) ? 0 : now + second, Failure::nacked);
                else
                    finish(member, k, s);
            });
        }
        now += chance(50) ? 31 * second : second / 10;
        keeper->sweep(now, head, false);
    }
    for (Sequence s = 1; s <= 2'000; ++s) ASSERT_EQ(done[s], 1) << s;
}

} // namespace
} // namespace shmbus::group
