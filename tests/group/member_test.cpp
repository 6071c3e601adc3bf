// What one member takes, and what becomes of what it has taken.
#include "group/fixture.hpp"

namespace shmbus::group {
namespace {

class MemberTest : public GroupTest {
  protected:
    void in_one_slot(std::initializer_list<Sequence> events) {
        for (const Sequence s : events) slots[s] = 5;
    }
};

TEST_F(MemberTest, TakesEverythingWhenItIsAlone) {
    auto& one = join(1);
    head = 4;
    EXPECT_THAT(receive(one), ElementsAre(1, 2, 3, 4));
    EXPECT_EQ(table.done_up_to(head), 4U);
    EXPECT_THAT(receive(one), ElementsAre());
}

TEST_F(MemberTest, OfASlotOneEventIsInHandAtATime) {
    in_one_slot({1, 2, 3});
    auto& one = join(1);
    head = 4;
    EXPECT_THAT(receive(one, true), ElementsAre(1, 4)) << "2 and 3 wait for 1";
    EXPECT_EQ(table.done_up_to(head), 0U);
    EXPECT_TRUE(one.acknowledge(5));
    EXPECT_THAT(receive(one, true), ElementsAre(2));
    EXPECT_EQ(table.done_up_to(head), 1U);
    EXPECT_TRUE(one.acknowledge(5));
    EXPECT_THAT(receive(one), ElementsAre(3));
}

TEST_F(MemberTest, WhatFailsHoldsItsSlotAlone) {
    in_one_slot({1, 3});
    auto& one = join(1);
    head = 1;
    EXPECT_THAT(receive(one, true), ElementsAre(1));
    EXPECT_TRUE(one.put_back(5, now + second, Failure::nacked));
    head = 4;
    EXPECT_THAT(receive(one), ElementsAre(2, 4));
    EXPECT_EQ(one.next_due(), now + second);
    now += second;
    EXPECT_THAT(receive(one), ElementsAre(1, 3));
    EXPECT_EQ(table.done_up_to(head), 4U);
    EXPECT_EQ(table.header().redelivered.load_relaxed(), 1U);
}

TEST_F(MemberTest, CountsHowOftenAnEventWasHandedOut) {
    options.max_deliver = 2;
    Member one(table, 1, options, 1);
    keeper->attach(1, 1, head);
    keeper->balance(0);
    one.look_around();
    for (const std::uint32_t attempt : {1U, 2U, 3U}) {
        ASSERT_TRUE(attempt == 1 ? one.front_wants(slot(1), 1) : one.trail_wants(slot(1), 1));
        const auto taken = one.take(slot(1), 1, now, attempt != 1);
        ASSERT_TRUE(taken);
        EXPECT_EQ(taken->attempt, attempt);
        EXPECT_EQ(taken->failure, attempt == 1 ? Failure::none : Failure::nacked);
        EXPECT_EQ(taken->is_too_often, attempt == 3);
        one.pass(2);
        EXPECT_TRUE(one.put_back(slot(1), 0, Failure::nacked));
        EXPECT_EQ(one.trail(), 1U);
    }
    EXPECT_EQ(table.header().redelivered.load_relaxed(), 1U) << "the third time is for a letter";
}

TEST_F(MemberTest, SaysOfWhatIsNotInHandThatItIsNot) {
    auto& one = join(1);
    head = 2;
    receive(one, true);
    EXPECT_EQ(one.in_hand(), 2U);
    EXPECT_EQ(one.slot_of(2), slot(2));
    EXPECT_FALSE(one.slot_of(3));
    EXPECT_TRUE(one.acknowledge(slot(2)));
    EXPECT_FALSE(one.slot_of(2));
    EXPECT_EQ(one.in_hand(), 1U);
}

TEST_F(MemberTest, AcknowledgesAllThatIsInHand) {
    auto& one = join(1);
    head = 100;
    receive(one, true);
    one.for_each_in_hand([&](std::uint32_t k, Sequence s) {
        if (s <= 60) {
            EXPECT_TRUE(one.acknowledge(k));
        }
    });
    EXPECT_EQ(one.in_hand(), 40U);
    EXPECT_EQ(table.done_up_to(head), 60U);
}

TEST_F(MemberTest, IsFullWithAsManyAsItMayHave) {
    options.max_in_flight = 2;
    keeper = std::make_unique<Keeper>(table, options);
    auto& one = join(1);
    head = 1;
    receive(one, true);
    EXPECT_FALSE(one.is_full());
    head = 2;
    receive(one, true);
    EXPECT_TRUE(one.is_full());
}

TEST_F(MemberTest, BehindTheFrontTheTrailStops) {
    in_one_slot({1, 5});
    auto& one = join(1);
    head = 3;
    receive(one, true);
    one.put_back(5, 0, Failure::nacked);
    ASSERT_EQ(one.trail(), 1U);
    EXPECT_FALSE(one.trail_wants(5, 5)) << "the front will find it";
}

/// The daemon takes the slot while its event is in hand: what its owner says is not heard.
TEST_F(MemberTest, IsNotHeardWhenItsSlotWasTaken) {
    auto& one = join(1);
    auto& two = join(2);
    head = 4;
    const auto taken = receive(one, true);
    ASSERT_FALSE(taken.empty());
    keeper->detach(1, head);
    EXPECT_TRUE(one.is_over());
    for (const Sequence s : taken) {
        ASSERT_TRUE(one.slot_of(s));
        if (s % 2 == 0)
            EXPECT_FALSE(one.acknowledge(slot(s)));
        else
            EXPECT_FALSE(one.put_back(slot(s), 0, Failure::nacked));
    }
    EXPECT_EQ(one.in_hand(), 0U);
    EXPECT_THAT(receive(two), ElementsAre(1, 2, 3, 4)) << "its own, and what the other one had";
    EXPECT_EQ(table.done_up_to(head), 4U);
}

/// Who does not know yet that its event went to another says what it likes: the other one's time is its own.
TEST_F(MemberTest, WhoIsLateChangesNothingOfTheNextDelivery) {
    auto& one = join(1);
    auto& two = join(2);
    head = 20;
    const auto taken = receive(one, true);
    receive(two);
    ASSERT_GE(taken.size(), 4U);
    now += 31 * second;
    two.beat();
    one.beat();
    ASSERT_TRUE(keeper->sweep(now, head, false));
    ASSERT_EQ(receive(two, true), taken);
    EXPECT_FALSE(one.put_back(slot(taken[0]), now, Failure::nacked));
    EXPECT_FALSE(one.put_back(slot(taken[1]), now + 1000 * second, Failure::nacked));
    EXPECT_FALSE(one.touch(slot(taken[2]), now + 1000 * second));
    two.beat();
    keeper->sweep(now, head, false);
    for (const Sequence s : taken) {
        EXPECT_TRUE(two.touch(slot(s), now)) << s << " was taken from it before its time";
        EXPECT_EQ(two.attempts(slot(s)), 2U);
    }
    now += 31 * second;
    keeper->sweep(now, head, false);
    for (const Sequence s : taken) EXPECT_FALSE(two.touch(slot(s), now)) << s << " is late";
}

/// Nor does one that takes an event of a slot that went away in the meantime.
TEST_F(MemberTest, WhoTakesWhatIsNotItsOwnChangesNothing) {
    auto& one = join(1);
    head = 1;
    ASSERT_TRUE(one.front_wants(slot(1), 1));
    keeper->detach(1, head);
    auto& two = join(2);
    ASSERT_THAT(receive(two, true), ElementsAre(1));
    EXPECT_FALSE(one.take(slot(1), 1, now - second, false));
    now += 29'500'000'000;
    two.beat();
    EXPECT_FALSE(keeper->sweep(now, head, false));
    EXPECT_TRUE(two.acknowledge(slot(1)));
}

/// One that fails again and again, at once, is not all that the trail is for.
TEST_F(MemberTest, WhatFailsForEverStarvesNobody) {
    options.max_deliver = 0;
    for (Sequence s = 1; s <= 5'000; ++s) slots[s] = 7; // done, but for the first and the last
    slots[1] = 5;
    slots[2] = 6;
    slots[5'000] = 6;
    auto& one = join(1);
    head = 5'000;
    for (Sequence s = 1; s <= head; ++s) {
        if (one.front_wants(slot(s), s) && one.take(slot(s), s, now, false) && slot(s) == 7)
            one.acknowledge(7);
        one.pass(s + 1);
    }
    one.acknowledge(6);                        // 5,000 is to be found by the trail now
    one.put_back(5, now + 1, Failure::nacked); // and 1
    bool found = false;
    for (int look = 0; look < 100'000 && !found; ++look) {
        if (look % 100 == 0) one.wake(now += 1'000'000); // its pause is shorter than the way
        const auto at = one.trail();
        if (!at) continue;
        const Sequence s = *at;
        if (s < one.front() && one.trail_wants(slot(s), s)) {
            found = s == 5'000;
            ASSERT_TRUE(one.take(slot(s), s, now, true));
            if (!found) one.put_back(slot(s), now + 1, Failure::nacked);
        }
        one.pass_trail(s + 1);
    }
    EXPECT_TRUE(found);
}

/// A failed event waits on when its slot moves, and its failures stay counted.
TEST_F(MemberTest, WhatWaitsGoesOnToWaitElsewhere) {
    in_one_slot({1});
    auto& one = join(1);
    head = 1;
    receive(one, true);
    EXPECT_TRUE(one.put_back(5, now + 10 * second, Failure::nacked));
    keeper->detach(1, head);
    auto& two = join(2);
    EXPECT_THAT(receive(two), ElementsAre());
    EXPECT_EQ(two.next_due(), now + 10 * second);
    now += 10 * second;
    EXPECT_THAT(receive(two, true), ElementsAre(1));
    EXPECT_EQ(two.attempts(5), 2U);
}

TEST_F(MemberTest, TouchingGivesItTime) {
    auto& one = join(1);
    head = 1;
    receive(one, true);
    now += 25 * second;
    EXPECT_TRUE(one.touch(slot(1), now));
    now += 25 * second;
    EXPECT_FALSE(keeper->sweep(now, head, false));
    now += 6 * second;
    EXPECT_TRUE(keeper->sweep(now, head, false));
    EXPECT_FALSE(one.touch(slot(1), now)) << "too late";
    EXPECT_EQ(one.in_hand(), 0U);
}

} // namespace
} // namespace shmbus::group
