// Groups: what is refused, and what a daemon's end leaves.
#include "client/group_fixture.hpp"

#include <csignal>
#include <thread>

namespace shmbus::test {
namespace {

using testing::ElementsAre;
using GroupTroubleTest = GroupTest;

INSTANTIATE_TEST_SUITE_P(Topics, GroupTroubleTest,
                         testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(GroupTroubleTest, AGroupIsAKindOfItsOwn) {
    bus.create_group("orders", "workers");
    bus.create_subscription("orders", "alone");
    EXPECT_EQ(refusal([&] { (void)bus.subscribe("orders", {.name = "workers"}); }),
              Errc::different_options);
    EXPECT_EQ(
        refusal([&] { (void)bus.subscribe("orders", {.name = "alone", .group = GroupOptions{}}); }),
        Errc::different_options);
    EXPECT_EQ(refusal([&] { bus.create_group("orders", "alone"); }), Errc::subscription_exists);
}

TEST_P(GroupTroubleTest, OptionsThatAreNoneAreRefused) {
    const auto refused = [&](const SubscribeOptions& options) {
        return refusal([&] { (void)bus.subscribe("orders", options); });
    };
    EXPECT_EQ(refused({.group = GroupOptions{}}), Errc::bad_argument);
    EXPECT_EQ(refused({.name = "w", .group = GroupOptions{}, .steal = true}), Errc::bad_argument);
    EXPECT_EQ(refused({.name = "w", .group = GroupOptions{}, .types = {1}}), Errc::bad_argument);
    EXPECT_EQ(refused({.name = "w", .group = GroupOptions{}, .key = "k"}), Errc::bad_argument);
    EXPECT_EQ(refused({.name = "w", .group = GroupOptions{}, .lossy = true}), Errc::bad_argument);
    EXPECT_EQ(refused({.name = "w", .group = GroupOptions{.max_in_flight = 0}}),
              Errc::bad_argument);
    EXPECT_EQ(refusal([&] { bus.create_group("orders", "w", {.ack_wait = 1ms}); }),
              Errc::bad_argument);
    EXPECT_TRUE(bus.subscriptions("orders").empty());
}

TEST_P(GroupTroubleTest, TheOptionsOfAGroupThatIsThereCount) {
    bus.create_group("orders", "workers",
                     {.ack_wait = 7s, .max_deliver = 2, .back_off = {1ms, 2ms}});
    auto one = join({.ack_wait = 9s});
    EXPECT_EQ(group().options.ack_wait, 7s);
    EXPECT_EQ(group().options.max_deliver, 2U);
    EXPECT_THAT(group().options.back_off, ElementsAre(1ms, 2ms));
}

TEST_P(GroupTroubleTest, WhoIsNoMemberHoldsNothing) {
    auto plain = bus.subscribe("orders", {.start = Start::all()});
    publish(1);
    const auto event = next(plain);
    ASSERT_TRUE(event);
    EXPECT_EQ(plain.nack(*event), Acknowledged::not_held);
    EXPECT_EQ(plain.touch(*event), Acknowledged::not_held);
    EXPECT_EQ(plain.reject(*event, "why"), Acknowledged::not_held);
    EXPECT_EQ(plain.acknowledge(*event), Acknowledged::done);
    EXPECT_EQ(event->attempt(), 1U);
    EXPECT_EQ(event->slot(), 0U);
}

TEST_P(GroupTroubleTest, WhileItHasMembersItIsNotMoved) {
    auto one = std::make_optional(join());
    publish(10);
    EXPECT_EQ(refusal([&] { bus.seek_subscription("orders", "workers", Start::sequence(3)); }),
              Errc::busy);
    EXPECT_EQ(refusal([&] { bus.remove_subscription("orders", "workers"); }), Errc::busy);
    EXPECT_EQ(drain(*one).size(), 10U);
    one.reset();
    bus.seek_subscription("orders", "workers", Start::sequence(8));
    auto two = join();
    EXPECT_THAT(drain(two), ElementsAre(8, 9, 10));
}

TEST_P(GroupTroubleTest, PausedItReceivesNothing) {
    auto one = join();
    bus.pause_subscription("orders", "workers");
    publish(1);
    EXPECT_EQ(text(one, Deadline::now()), "timed_out");
    bus.resume_subscription("orders", "workers");
    EXPECT_EQ(text(one), "1");
}

TEST_P(GroupTroubleTest, RemovedByForceItIsOverForItsMembers) {
    auto one = join();
    bus.remove_subscription("orders", "workers", true);
    EXPECT_EQ(text(one), "stolen");
    EXPECT_EQ(text(one), "stolen");
    auto two = join();
    publish(1);
    EXPECT_EQ(text(two), "1");
}

/// A member that was closed while one of its events is held lets go of its slots all the same.
TEST_P(GroupTroubleTest, AnEventThatOutlivesItsMemberKeepsNoSlot) {
    auto one = std::make_optional(join());
    auto two = join();
    publish(20);
    const auto event = next(*one);
    ASSERT_TRUE(event);
    one.reset();
    std::size_t count = 0;
    while (count < 20) {
        const auto other = next(two);
        ASSERT_TRUE(other);
        two.acknowledge(*other);
        ++count;
    }
    EXPECT_EQ(group().members.back().slots, 1024U);
    EXPECT_EQ(event->sequence(), 1U);
}

/// Also when daemon and member die together, and nobody kept the memory.
TEST_P(GroupTroubleTest, APersistedAcknowledgementIsKept) {
    if (GetParam() == Retention::memory) return; // nothing is
    auto other = std::make_optional<Bus>(BusOptions{.socket = daemon.socket()});
    auto one = std::make_optional(other->subscribe("orders", {.start = Start::all(),
                                                              .name = "workers",
                                                              .group = GroupOptions{},
                                                              .auto_acknowledge = false}));
    publish(5);
    ASSERT_EQ(bus.publisher("orders").wait_durable(5, patience), Durability::durable);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(next(*one));
    one->acknowledge(2);
    one->acknowledge(5);
    one->persist(patience);
    daemon.kill(SIGKILL);
    daemon.wait();
    one.reset();
    other.reset();
    daemon.restart();
    auto two = join();
    EXPECT_THAT(drain(two), ElementsAre(1, 3, 4));
}

/// What failed comes again from the files when the ring has begun anew behind it.
TEST_P(GroupTroubleTest, AnEventFromBeforeTheRingFailsAndComesAgain) {
    if (GetParam() == Retention::memory) return; // nothing is left
    bus.create_group("orders", "workers");
    bus.seek_subscription("orders", "workers", Start::all());
    publish(10);
    daemon.kill(SIGTERM);
    daemon.wait();
    daemon.restart();
    Bus later(BusOptions{.socket = daemon.socket()});
    auto one = later.subscribe("orders", {.start = Start::all(),
                                          .name = "workers",
                                          .group = GroupOptions{},
                                          .auto_acknowledge = false});
    const auto event = next(one);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->text(), "1");
    EXPECT_EQ(one.nack(*event), Acknowledged::done);
    std::vector<std::string> all;
    while (all.size() < 10) {
        const auto other = next(one, 5s);
        ASSERT_TRUE(other) << "after " << all.size();
        EXPECT_EQ(one.acknowledge(*other), Acknowledged::done);
        all.emplace_back(other->text());
    }
    EXPECT_THAT(all,
                testing::UnorderedElementsAre("1", "2", "3", "4", "5", "6", "7", "8", "9", "10"));
}

/// Removed, a topic is read to its end, and that is also what failed.
TEST_P(GroupTroubleTest, WhatFailedComesAgainAfterTheTopicsEnd) {
    auto one = join();
    publish(2);
    const auto event = next(one);
    ASSERT_TRUE(event);
    bus.remove_topic("orders", true);
    EXPECT_EQ(one.nack(*event, 200ms), Acknowledged::done);
    const auto second = next(one);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->text(), "2");
    EXPECT_EQ(one.acknowledge(*second), Acknowledged::done);
    const auto again = next(one);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->text(), "1");
    EXPECT_EQ(one.acknowledge(*again), Acknowledged::done);
    EXPECT_EQ(text(one), "closed");
}

/// Paused, a member sleeps, also when something of it would come again.
TEST_P(GroupTroubleTest, PausedItSleeps) {
    auto one = join();
    publish(1);
    const auto event = next(one);
    ASSERT_TRUE(event);
    EXPECT_EQ(one.nack(*event, 1ms), Acknowledged::done);
    bus.pause_subscription("orders", "workers");
    timespec before{};
    timespec after{};
    ASSERT_EQ(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before), 0);
    EXPECT_EQ(text(one, 1s), "timed_out");
    ASSERT_EQ(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after), 0);
    const auto used = std::chrono::seconds(after.tv_sec - before.tv_sec) +
                      std::chrono::nanoseconds(after.tv_nsec - before.tv_nsec);
    EXPECT_LT(used, 100ms) << "it was awake all the time";
    bus.resume_subscription("orders", "workers");
    EXPECT_EQ(text(one), "1");
}

/// The daemon is killed, and the member hands its memory back to the next one: nothing comes again, nothing is lost.
TEST_P(GroupTroubleTest, GoesOnWithTheNextDaemon) {
    auto one = join();
    publish(5);
    auto publisher = bus.publisher("orders");
    ASSERT_TRUE(next(one));
    daemon.kill(SIGKILL);
    daemon.wait();
    EXPECT_EQ(one.acknowledge(1), Acknowledged::done) << "that needs no daemon";
    EXPECT_EQ(text(one), "2");
    daemon.restart();
    ASSERT_TRUE(publisher.publish("6", {}, patience));
    EXPECT_EQ(one.acknowledge(2), Acknowledged::done);
    for (const char* expected : {"3", "4", "5", "6"}) {
        const auto event = next(one);
        ASSERT_TRUE(event);
        EXPECT_EQ(event->text(), expected);
        EXPECT_EQ(one.acknowledge(*event), Acknowledged::done);
    }
    while (bus.subscriptions("orders").empty()) std::this_thread::yield();
    auto two = join();
    publish(0);
    EXPECT_EQ(group().members.size(), 2U);
}

} // namespace
} // namespace shmbus::test
