// Groups, as a program uses them: who gets which event, in which order, how often.
#include "client/group_fixture.hpp"

#include <map>
#include <set>

namespace shmbus::test {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

INSTANTIATE_TEST_SUITE_P(Topics, GroupTest, testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(GroupTest, OneMemberGetsEverythingInOrder) {
    auto one = join();
    publish(40);
    std::vector<Sequence> expected(40);
    for (Sequence s = 1; s <= 40; ++s) expected[s - 1] = s;
    EXPECT_EQ(drain(one), expected);
    EXPECT_EQ(info().cursor, 40U);
    EXPECT_EQ(group().members.at(0).slots, 1024U);
}

TEST_P(GroupTest, EachEventGoesToOneMember) {
    auto one = join();
    auto two = join();
    publish(60);
    auto all = drain(one);
    EXPECT_GT(all.size(), 10U);
    EXPECT_LT(all.size(), 50U);
    for (const Sequence s : drain(two)) all.push_back(s);
    EXPECT_EQ(std::set<Sequence>(all.begin(), all.end()).size(), 60U);
    EXPECT_EQ(all.size(), 60U);
    EXPECT_EQ(info().cursor, 60U);
}

TEST_P(GroupTest, OfAKeyOneEventIsInHandAtATime) {
    auto one = join();
    publish(3, "a");
    publish(1, "b");
    const auto first = next(one);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->text(), "1");
    EXPECT_EQ(first->attempt(), 1U);
    EXPECT_EQ(text(one), "4");
    EXPECT_EQ(text(one, Deadline::now()), "timed_out");
    EXPECT_EQ(one.acknowledge(1), Acknowledged::done);
    EXPECT_EQ(one.acknowledge(1), Acknowledged::not_held);
    EXPECT_EQ(text(one), "2");
    EXPECT_EQ(one.acknowledge_through(4), Acknowledged::done);
    EXPECT_EQ(text(one), "3");
    EXPECT_EQ(one.acknowledge(99), Acknowledged::not_held);
}

TEST_P(GroupTest, WhatWasLookedForAgainHoldsTheCursorUpNoLongerThanThat) {
    auto one = join();
    publish(2, "a");
    publish(1, "b");
    EXPECT_EQ(text(one), "1");
    EXPECT_EQ(text(one), "3");
    EXPECT_EQ(one.acknowledge(1), Acknowledged::done);
    EXPECT_EQ(text(one), "2") << "it goes back for it";
    EXPECT_EQ(one.acknowledge(2), Acknowledged::done);
    EXPECT_EQ(one.acknowledge(3), Acknowledged::done);
    EXPECT_EQ(text(one, Deadline::now()), "timed_out");
    EXPECT_EQ(info().cursor, 3U);
}

/// Publishers wait for what the members have not done, and for nothing else.
TEST_P(GroupTest, WhoLooksAndNeverSleepsMakesRoom) {
    auto one = join();
    publish(2, "a");
    const auto first = next(one);
    ASSERT_TRUE(first);
    publish(62); // the ring is full
    EXPECT_EQ(drain(one).size(), 62U);
    EXPECT_EQ(one.acknowledge(*first), Acknowledged::done);
    EXPECT_EQ(drain(one), std::vector<Sequence>{2});
    auto publisher = bus.publisher("orders");
    for (int i = 0; i < 64; ++i) // sooner than a member that holds publishers up is given up
        ASSERT_TRUE(publisher.publish("", {}, 5s));
    EXPECT_EQ(drain(one).size(), 64U);
}

TEST_P(GroupTest, WithoutOrderKeysDoNotCount) {
    auto one = join({.order = Order::none});
    publish(3, "a");
    EXPECT_EQ(text(one), "1");
    EXPECT_EQ(text(one), "2");
    EXPECT_EQ(text(one), "3");
}

TEST_P(GroupTest, WhatFailsComesAgainAfterADelay) {
    auto one = join();
    publish(2);
    EXPECT_EQ(text(one), "1");
    EXPECT_EQ(one.nack(1, 50ms), Acknowledged::done);
    EXPECT_EQ(text(one), "2");
    EXPECT_EQ(one.acknowledge(2), Acknowledged::done);
    const auto begin = Deadline::Clock::now();
    const auto again = next(one);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->text(), "1");
    EXPECT_EQ(again->attempt(), 2U);
    EXPECT_LT(Deadline::Clock::now() - begin, patience);
    EXPECT_EQ(group().redelivered, 1U);
}

TEST_P(GroupTest, WhatAMemberLeavesBehindTheNextOneHasAtOnce) {
    auto one = std::make_optional(join());
    auto two = join();
    publish(20);
    std::vector<Sequence> in_hand;
    while (const auto event = next(*one, Deadline::now())) in_hand.push_back(event->sequence());
    const auto own = drain(two);
    EXPECT_EQ(in_hand.size() + own.size(), 20U);
    one.reset();
    std::vector<Sequence> taken_over;
    while (taken_over.size() < in_hand.size()) {
        const auto event = next(two);
        ASSERT_TRUE(event);
        EXPECT_EQ(event->attempt(), 2U);
        taken_over.push_back(event->sequence());
        two.acknowledge(*event);
    }
    EXPECT_EQ(taken_over, in_hand);
    EXPECT_EQ(text(two, Deadline::now()), "timed_out");
    EXPECT_EQ(info().cursor, 20U);
}

TEST_P(GroupTest, ByItselfAcknowledgesWhatIsBehindTheLastEvent) {
    auto one = bus.subscribe("orders",
                             {.start = Start::all(), .name = "workers", .group = GroupOptions{}});
    publish(3);
    for (const char* expected : {"1", "2", "3"}) EXPECT_EQ(text(one), expected);
    EXPECT_EQ(info().cursor, 2U);
    EXPECT_EQ(text(one, Deadline::now()), "timed_out");
    EXPECT_EQ(info().cursor, 3U);
}

TEST_P(GroupTest, GoesOnWhereItWasWhenNobodyIsLeft) {
    {
        auto one = join();
        publish(10);
        for (int i = 0; i < 5; ++i) ASSERT_TRUE(next(one));
        EXPECT_EQ(one.acknowledge(2), Acknowledged::done);
        EXPECT_EQ(one.acknowledge(4), Acknowledged::done);
    }
    EXPECT_EQ(info().cursor, 0U);
    auto two = join();
    EXPECT_THAT(drain(two), ElementsAre(1, 3, 5, 6, 7, 8, 9, 10));
}

TEST_P(GroupTest, ANewMemberReadsWhatNobodyHasDone) {
    auto one = join();
    publish(50);
    auto two = join();
    auto all = drain(two);
    EXPECT_GT(all.size(), 5U);
    for (const Sequence s : drain(one)) all.push_back(s);
    EXPECT_EQ(std::set<Sequence>(all.begin(), all.end()).size(), 50U);
    EXPECT_EQ(all.size(), 50U);
}

/// Else publishers of a topic in memory would wait for one that sleeps.
TEST_P(GroupTest, WhoSleepsHoldsNobodyUp) {
    auto one = join();
    auto two = join();
    std::size_t count = 0;
    for (int round = 0; round < 20; ++round) {
        publish(60);
        count += drain(one).size();
        if (round % 5 == 4) count += drain(two).size();
        if (GetParam() == Retention::memory) count += drain(two).size();
    }
    count += drain(two).size();
    EXPECT_EQ(count, 1200U);
}

TEST_P(GroupTest, FilesAreReadByAllMembers) {
    if (GetParam() == Retention::memory) return; // there are none
    publish(1000);                               // the ring has the last 64
    auto one = join();
    auto two = join();
    auto all = drain(one);
    for (const Sequence s : drain(two)) all.push_back(s);
    EXPECT_EQ(std::set<Sequence>(all.begin(), all.end()).size(), 1000U);
    EXPECT_EQ(all.size(), 1000U);
}

TEST_P(GroupTest, TooManyInHandAreRefused) {
    auto one = join({.max_in_flight = 2});
    publish(3);
    EXPECT_EQ(text(one), "1");
    EXPECT_EQ(text(one), "2");
    EXPECT_EQ(text(one), "too_many_held");
    EXPECT_EQ(one.acknowledge(1), Acknowledged::done);
    EXPECT_EQ(text(one), "3");
}

TEST_P(GroupTest, WhatIsNotAcknowledgedInTimeComesAgain) {
    auto one = join({.ack_wait = 100ms});
    publish(1);
    EXPECT_EQ(text(one), "1");
    const auto again = next(one);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->sequence(), 1U);
    EXPECT_EQ(again->attempt(), 2U);
    EXPECT_EQ(one.acknowledge(*again), Acknowledged::done);
    EXPECT_EQ(info().cursor, 1U);
}

TEST_P(GroupTest, WhatFailsTooOftenIsSetAside) {
    auto one = join({.max_deliver = 3});
    publish(1, "k");
    publish(1, "k");
    for (std::uint32_t attempt = 1; attempt <= 3; ++attempt) {
        const auto event = next(one);
        ASSERT_TRUE(event);
        EXPECT_EQ(event->text(), "1");
        EXPECT_EQ(event->attempt(), attempt);
        EXPECT_EQ(one.nack(*event), Acknowledged::done);
    }
    EXPECT_EQ(text(one), "2") << "the next of its key";
    EXPECT_EQ(group().set_aside, 1U);
    auto letters = bus.subscribe("orders.dlq", {.start = Start::all()});
    const auto letter = next(letters);
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter->text(), "1");
    EXPECT_EQ(letter->key(), "k");
    const auto read = read_dead_letter(*letter);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->attempts, 3U);
    EXPECT_EQ(text(letters, Deadline::now()), "timed_out");
}

TEST_P(GroupTest, WhoNeverWaitsSetsAsideToo) {
    auto one = join({.max_deliver = 1});
    publish(2, "k");
    std::string seen;
    for (const Deadline end = patience; seen != "2" && !end.passed();) {
        const auto event = next(one, Deadline::now());
        if (!event) continue;
        seen = event->text();
        EXPECT_EQ(one.nack(*event), Acknowledged::done);
    }
    EXPECT_EQ(seen, "2");
    EXPECT_EQ(group().set_aside, 1U);
}

TEST_P(GroupTest, WhatIsRejectedIsSetAsideAtOnce) {
    auto one = join();
    publish(2);
    auto event = next(one);
    ASSERT_TRUE(event);
    EXPECT_EQ(one.reject(*event, "no such table"), Acknowledged::done);
    EXPECT_EQ(one.reject(*event, "again"), Acknowledged::not_held);
    EXPECT_EQ(text(one), "2");
    auto letters = bus.subscribe("orders.dlq", {.start = Start::all()});
    const auto letter = next(letters);
    ASSERT_TRUE(letter);
    EXPECT_EQ(read_dead_letter(*letter).value().reason, "no such table");
    auto released = next(letters, Deadline::now());
    EXPECT_FALSE(released);
}

TEST_P(GroupTest, AWaitSetWakesForWhatWaits) {
    auto one = join();
    publish(1);
    EXPECT_EQ(text(one), "1");
    EXPECT_EQ(one.nack(1, 30ms), Acknowledged::done);
    WaitSet set;
    set.add(one);
    std::optional<Event> event;
    while (!event) {
        ASSERT_TRUE(set.wait(patience));
        event = next(one, Deadline::now());
    }
    EXPECT_EQ(event->attempt(), 2U);
}

} // namespace
} // namespace shmbus::test
