// How fresh is what a subscriber has: as_of(), caught_up(), and events that are too old to be believed.
#include "client/fixture.hpp"

#include <thread>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::system_clock;
constexpr auto patience = 30s;

class FreshnessTest : public ClientTest {
  protected:
    Subscription by_hand() {
        return bus.subscribe("orders", {.start = Start::all(), .auto_acknowledge = false});
    }
    static Event next(Subscription& subscription) {
        auto received = subscription.receive(patience);
        if (auto* event = std::get_if<Event>(&received)) return std::move(*event);
        throw std::runtime_error("no event, but " + text_of(received));
    }
    void publish(int count) {
        for (int i = 0; i < count; ++i) ASSERT_TRUE(publisher.publish("x"));
    }
    Publisher publisher{bus.publisher("orders")};
};

TEST_F(FreshnessTest, IsAsOfTheLastAcknowledgedEvent) {
    auto subscription = by_hand();
    publish(3);
    EXPECT_FALSE(subscription.as_of());
    const auto one = next(subscription);
    const auto two = next(subscription);
    const auto three = next(subscription);
    EXPECT_FALSE(subscription.as_of()) << "received, and not acknowledged";
    ASSERT_NE(one.time(), two.time());
    subscription.acknowledge(two);
    EXPECT_EQ(subscription.as_of(), two.time()) << "which is not the newest that is outstanding";
    subscription.acknowledge(one);
    EXPECT_EQ(subscription.as_of(), two.time()) << "never moves back";
    subscription.acknowledge(three);
    EXPECT_EQ(subscription.as_of(), three.time());
}

TEST_F(FreshnessTest, IsTheSameWhenTheEventsWereReleasedBefore) {
    auto subscription = by_hand();
    publish(2);
    std::vector<Start::Time> times;
    for (int i = 0; i < 2; ++i) {
        auto event = next(subscription);
        times.push_back(event.time());
        event.release();
    }
    subscription.acknowledge(2);
    EXPECT_EQ(subscription.as_of(), times[1]);
}

TEST_F(FreshnessTest, AcknowledgedByItselfIsWhatIsBehindTheLastEvent) {
    auto subscription = subscribe();
    publish(2);
    const auto one = next(subscription);
    EXPECT_FALSE(subscription.as_of());
    const auto two = next(subscription);
    EXPECT_EQ(subscription.as_of(), one.time());
    EXPECT_EQ(text_of(subscription.receive(Deadline::now())), "timed_out");
    EXPECT_EQ(subscription.as_of(), two.time());
}

TEST_F(FreshnessTest, WhatAFilterLeavesOutMovesNothing) {
    auto subscription = bus.subscribe("orders", {.start = Start::all(), .types = {7}});
    ASSERT_TRUE(publisher.publish("x", {.type = 7}));
    const auto time = next(subscription).time();
    publish(5);
    EXPECT_EQ(text_of(subscription.receive(Deadline::now())), "timed_out");
    EXPECT_EQ(subscription.as_of(), time);
    EXPECT_TRUE(subscription.caught_up());
}

TEST_F(FreshnessTest, ABatchIsAsOfItsLastEvent) {
    auto subscription = subscribe();
    publish(10);
    std::array<Event, 4> events;
    ASSERT_EQ(std::get<std::size_t>(subscription.receive(events, patience)), 4U);
    const auto last = events[3].time();
    ASSERT_EQ(std::get<std::size_t>(subscription.receive(events, patience)), 4U);
    EXPECT_EQ(subscription.as_of(), last);
}

TEST_F(FreshnessTest, IsCaughtUpWhenEverythingWasReceived) {
    auto subscription = by_hand();
    EXPECT_TRUE(subscription.caught_up()) << "there is nothing";
    publish(2);
    EXPECT_FALSE(subscription.caught_up());
    next(subscription);
    EXPECT_FALSE(subscription.caught_up());
    next(subscription);
    EXPECT_TRUE(subscription.caught_up()) << "received, acknowledged or not";
    publish(1);
    EXPECT_FALSE(subscription.caught_up());
    auto late = bus.subscribe("orders");
    EXPECT_TRUE(late.caught_up()) << "what came before is not for it";
}

TEST_F(FreshnessTest, AnEventIsStaleWhenItIsTooOld) {
    publish(1);
    auto patient = bus.subscribe("orders", {.start = Start::all(), .max_age = 1h});
    auto hasty = bus.subscribe("orders", {.start = Start::all(), .max_age = 0ns});
    auto careless = bus.subscribe("orders", {.start = Start::all()});
    EXPECT_FALSE(next(patient).stale());
    EXPECT_FALSE(next(careless).stale());
    auto event = next(hasty);
    const auto published = event.time();
    while (system_clock::now() <= published) std::this_thread::yield();
    EXPECT_TRUE(event.stale()) << "and it has come all the same";
    event.release();
    EXPECT_FALSE(event.stale()) << "it is none any more";
    EXPECT_FALSE(Event().stale());
}

TEST_F(FreshnessTest, AnEventGrowsStaleInTheHand) {
    constexpr auto max_age = 200ms;
    auto subscription = bus.subscribe("orders", {.start = Start::all(), .max_age = max_age});
    publish(1);
    const auto event = next(subscription);
    const bool was_stale = event.stale();
    const auto looked = system_clock::now();
    EXPECT_TRUE(!was_stale || looked - event.time() > max_age);
    while (system_clock::now() - event.time() <= max_age) std::this_thread::yield();
    EXPECT_TRUE(event.stale());
}

/// From files, and from the ring behind them.
TEST_F(FreshnessTest, OfATopicOnDiskItIsTheSame) {
    bus.create_topic("kept", {.capacity = 16, .slot_bytes = 128, .max_event = 64, .pool_bytes = 0});
    auto kept = bus.publisher("kept");
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(kept.publish("x"));
    auto subscription =
        bus.subscribe("kept", {.start = Start::all(), .max_age = 0ns, .auto_acknowledge = false});
    for (int i = 1; i <= 100; ++i) {
        EXPECT_FALSE(subscription.caught_up());
        const auto event = next(subscription);
        subscription.acknowledge(event);
        ASSERT_EQ(subscription.as_of(), event.time()) << i;
        while (system_clock::now() <= event.time()) std::this_thread::yield();
        ASSERT_TRUE(event.stale());
    }
    EXPECT_TRUE(subscription.caught_up());
}

} // namespace
} // namespace shmbus::test
