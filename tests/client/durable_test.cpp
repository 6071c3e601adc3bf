// Durable subscriptions, as a program uses them: where somebody left off, the next one goes on.
#include "support/daemon_process.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <thread>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
constexpr auto patience = 30s;

template <class Work> Errc refusal(Work work) {
    try {
        work();
    } catch (const Error& e) {
        return e.code();
    }
    return {};
}

class DurableTest : public testing::TestWithParam<Retention> {
  protected:
    DurableTest() {
        TopicOptions options{.capacity = 64, .slot_bytes = 128, .max_event = 64, .pool_bytes = 0};
        options.retention = GetParam();
        bus.create_topic("orders", options);
    }
    void publish(Sequence count) {
        auto publisher = bus.publisher("orders");
        for (Sequence i = 0; i < count; ++i)
            ASSERT_TRUE(publisher.publish(std::to_string(++published), {}, patience));
    }
    Subscription subscribe(const SubscribeOptions& options) {
        return bus.subscribe("orders", options);
    }
    Subscription subscribe() { return subscribe(by_hand()); }
    static SubscribeOptions by_hand(bool steal = false) {
        return {.start = Start::all(), .name = "worker", .steal = steal, .auto_acknowledge = false};
    }
    static std::string next(Subscription& subscription, Deadline deadline = patience) {
        const auto received = subscription.receive(deadline);
        if (const auto* event = std::get_if<Event>(&received)) return std::string(event->text());
        if (const auto* nothing = std::get_if<Nothing>(&received)) return name_of(*nothing);
        return "gap";
    }
    SubscriptionInfo info() { return bus.subscriptions("orders").at(0); }

    TemporaryDirectory state;
    DaemonProcess daemon{{"--state-dir", state.path().string()}};
    Bus bus{BusOptions{.socket = daemon.socket()}};
    Sequence published = 0;
};
INSTANTIATE_TEST_SUITE_P(Topics, DurableTest, testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(DurableTest, GoesOnBehindWhatWasAcknowledged) {
    publish(10);
    {
        auto one = subscribe();
        for (int i = 1; i <= 5; ++i) EXPECT_EQ(next(one), std::to_string(i));
        one.acknowledge(3);
        EXPECT_EQ(info().holder->pid, static_cast<std::uint32_t>(::getpid()));
    }
    EXPECT_EQ(info().cursor, 3U);
    EXPECT_FALSE(info().holder);
    auto two = subscribe();
    EXPECT_EQ(next(two), "4");
    EXPECT_EQ(two.cursor(), 3U);
}

TEST_P(DurableTest, ByItselfAcknowledgesWhatIsBehindTheLastEvent) {
    publish(10);
    auto options = by_hand();
    options.auto_acknowledge = true;
    for (int i = 1; i <= 9; i += 2) {
        auto one = subscribe(options);
        EXPECT_EQ(next(one), std::to_string((i + 1) / 2));
        EXPECT_EQ(next(one), std::to_string((i + 1) / 2 + 1)) << "which is not acknowledged yet";
    }
}

TEST_P(DurableTest, ANewOneStartsWhereItsHolderSays) {
    publish(10);
    auto options = by_hand();
    options.start = Start::sequence(7);
    {
        auto one = subscribe(options);
        EXPECT_EQ(next(one), "7");
    }
    options.start = Start::latest();
    auto two = subscribe(options);
    EXPECT_EQ(next(two), "7") << "it has begun, though nothing was acknowledged";
}

TEST_P(DurableTest, HasOneHolder) {
    publish(3);
    auto one = subscribe();
    EXPECT_EQ(refusal([&] { (void)subscribe(); }), Errc::busy);
    EXPECT_EQ(next(one), "1");
    one.acknowledge(1);
    auto two = subscribe(by_hand(true));
    EXPECT_EQ(next(one), "stolen");
    EXPECT_EQ(next(two), "2");
    two.acknowledge(2);
    one.acknowledge(3);
    EXPECT_EQ(info().cursor, 2U) << "what the other one acknowledges counts no more";
    EXPECT_EQ(refusal([&] { one.persist(patience); }), Errc::busy);
}

TEST_P(DurableTest, WhoIsAsleepLearnsThatItWasStolen) {
    auto options = by_hand();
    options.spin = 0s;
    auto one = subscribe(options);
    std::thread thief([&] { (void)subscribe(by_hand(true)); });
    EXPECT_EQ(next(one), "stolen");
    thief.join();
}

TEST_P(DurableTest, OutlivesItsHoldersSuddenDeath) {
    publish(10);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        Bus own(BusOptions{.socket = daemon.socket()});
        auto one = own.subscribe("orders", by_hand());
        for (int i = 0; i < 6; ++i) (void)one.receive(patience);
        one.acknowledge(4);
        ::raise(SIGKILL);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    daemon.process().wait_for_log("pid " + std::to_string(child) + ") has ended");
    auto two = subscribe();
    EXPECT_EQ(next(two), "5");
}

TEST_P(DurableTest, IsPausedAndResumed) {
    publish(2);
    auto one = subscribe();
    EXPECT_EQ(next(one), "1");
    bus.pause_subscription("orders", "worker");
    EXPECT_TRUE(info().paused);
    EXPECT_EQ(next(one, 10ms), "timed_out");
    std::thread other([&] { bus.resume_subscription("orders", "worker"); });
    EXPECT_EQ(next(one), "2");
    other.join();
    bus.pause_subscription("orders", "worker");
    auto two = subscribe(by_hand(true));
    EXPECT_EQ(next(two, 10ms), "timed_out") << "whoever holds it";
}

TEST_P(DurableTest, IsMovedWhileNobodyHoldsIt) {
    publish(10);
    {
        auto one = subscribe();
        EXPECT_EQ(next(one), "1");
        EXPECT_EQ(refusal([&] { bus.seek_subscription("orders", "worker", Start::all()); }),
                  Errc::busy);
    }
    const auto first_after = [&](const Start& start) {
        bus.seek_subscription("orders", "worker", start);
        auto one = subscribe();
        return next(one, 1ms);
    };
    EXPECT_EQ(first_after(Start::sequence(8)), "8");
    EXPECT_EQ(first_after(Start::all()), "1");
    EXPECT_EQ(first_after(Start::last()), "10");
    EXPECT_EQ(first_after(Start::latest()), "timed_out");
    EXPECT_EQ(refusal([&] { (void)first_after(Start::sequence(12)); }), Errc::bad_argument);
}

TEST_P(DurableTest, IsMadeListedAndRemoved) {
    for (const char* const name : {"b", "a"}) bus.create_subscription("orders", name);
    EXPECT_EQ(refusal([&] { bus.create_subscription("orders", "a"); }), Errc::subscription_exists);
    const auto all = bus.subscriptions("orders");
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].name, "a");
    EXPECT_EQ(all[1].name, "b");
    EXPECT_FALSE(all[0].cursor);
    EXPECT_EQ(all[0].creator_uid, ::getuid());
    EXPECT_LT(std::chrono::system_clock::now() - all[0].created, 1min);
    bus.remove_subscription("orders", "a");
    EXPECT_EQ(bus.subscriptions("orders").size(), 1U);
    EXPECT_EQ(refusal([&] { bus.remove_subscription("orders", "a"); }), Errc::no_such_subscription);

    auto held = subscribe();
    EXPECT_EQ(refusal([&] { bus.remove_subscription("orders", "worker"); }), Errc::busy);
    bus.remove_subscription("orders", "worker", true);
    EXPECT_EQ(next(held), "stolen");
}

TEST_P(DurableTest, ManyAreListedPageByPage) {
    for (int i = 0; i < 150; ++i) bus.create_subscription("orders", "s" + std::to_string(i));
    EXPECT_EQ(bus.subscriptions("orders").size(), 150U);
}

TEST_P(DurableTest, RefusesNamesThatAreNone) {
    for (const char* const name : {"-a", "a b", "../a"}) {
        auto options = by_hand();
        options.name = name;
        EXPECT_EQ(refusal([&] { (void)subscribe(options); }), Errc::bad_argument) << name;
        EXPECT_EQ(refusal([&] { bus.create_subscription("orders", name); }), Errc::bad_argument);
    }
}

class DurableOnDisk : public DurableTest {
  protected:
    void restart(int signal) {
        daemon.kill(signal);
        daemon.wait();
        daemon.restart();
    }
    Subscription take_over() {
        auto options = by_hand();
        options.steal = true;
        return subscribe(options);
    }
};
INSTANTIATE_TEST_SUITE_P(Topics, DurableOnDisk, testing::Values(Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(DurableOnDisk, OutlivesTheDaemon) {
    publish(500);
    {
        auto one = subscribe();
        for (int i = 1; i <= 300; ++i) EXPECT_EQ(next(one), std::to_string(i));
        one.acknowledge(250);
        bus.pause_subscription("orders", "worker");
    }
    restart(SIGTERM);
    EXPECT_EQ(info().cursor, 250U);
    EXPECT_TRUE(info().paused);
    bus.resume_subscription("orders", "worker");
    auto two = subscribe();
    EXPECT_EQ(next(two), "251");
}

TEST_P(DurableOnDisk, WhatIsHeldWhenTheDaemonStopsIsKept) {
    publish(100);
    auto one = subscribe();
    for (int i = 1; i <= 50; ++i) EXPECT_EQ(next(one), std::to_string(i));
    one.acknowledge(42);
    restart(SIGTERM);
    EXPECT_EQ(next(one), "51") << "it goes on, too";
    auto two = take_over();
    EXPECT_EQ(next(two), "43");
}

TEST_P(DurableOnDisk, WhatIsPersistedOutlivesTheDaemonsSuddenDeath) {
    publish(100);
    auto one = subscribe();
    for (int i = 1; i <= 50; ++i) EXPECT_EQ(next(one), std::to_string(i));
    one.acknowledge(42);
    one.persist(patience);
    restart(SIGKILL);
    auto two = take_over();
    EXPECT_EQ(next(two), "43");
}

/// Without being told to, the daemon takes it within a second or so.
TEST_P(DurableOnDisk, WhatIsAcknowledgedIsOnDiskSoon) {
    publish(10);
    auto one = subscribe();
    EXPECT_EQ(next(one), "1");
    one.acknowledge(1);
    const auto file = state.path() / "topics/orders/worker.sub";
    one.persist(patience); // it is there
    const auto made = std::filesystem::last_write_time(file);
    EXPECT_EQ(next(one), "2");
    one.acknowledge(2);
    for (const Deadline end = patience; std::filesystem::last_write_time(file) == made;) {
        ASSERT_FALSE(end.passed());
        std::this_thread::sleep_for(10ms);
    }
    restart(SIGKILL);
    auto two = take_over();
    EXPECT_EQ(next(two), "3");
}

TEST_P(DurableOnDisk, ARemovedOneStaysAway) {
    publish(1);
    (void)subscribe();
    bus.remove_subscription("orders", "worker");
    restart(SIGTERM);
    EXPECT_TRUE(bus.subscriptions("orders").empty());
}

TEST(DurableInMemory, IsNotPersisted) {
    const DaemonProcess daemon;
    Bus bus{BusOptions{.socket = daemon.socket()}};
    bus.create_topic("orders", {.retention = Retention::memory});
    auto one = bus.subscribe("orders", {.name = "worker"});
    EXPECT_EQ(refusal([&] { one.persist(patience); }), Errc::system);
    auto unnamed = bus.subscribe("orders");
    EXPECT_EQ(refusal([&] { unnamed.persist(patience); }), Errc::bad_argument);
}

} // namespace
} // namespace shmbus::test
