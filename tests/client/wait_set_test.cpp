// Waiting on several subscriptions, in the library's loop and in somebody else's.
#include "client/fixture.hpp"

#include <csignal>
#include <poll.h>
#include <sys/epoll.h>
#include <thread>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;

class WaitSetTest : public ClientTest {
  protected:
    /// That many topics with a subscription each, all in the set.
    void fill(std::size_t count) {
        publishers.reserve(count);
        subscriptions.reserve(count); // where they are they stay
        for (std::size_t i = 0; i < count; ++i) {
            const auto topic = "t" + std::to_string(i);
            bus.create_topic(topic, {.capacity = 16,
                                     .slot_bytes = 128,
                                     .max_event = 64,
                                     .pool_bytes = 0,
                                     .retention = Retention::memory});
            publishers.push_back(bus.publisher(topic));
            subscriptions.push_back(bus.subscribe(topic, {.spin = 0s}));
            set.add(subscriptions.back());
        }
    }
    std::size_t index_of(const Ready& ready) const {
        return ready ? static_cast<std::size_t>(ready.subscription - subscriptions.data()) : ~0U;
    }
    void take(const Ready& ready) {
        const auto received = ready.subscription->receive(Deadline::now());
        EXPECT_TRUE(std::holds_alternative<Event>(received)) << text_of(received);
    }
    bool readable(std::chrono::milliseconds patience = 0ms) {
        pollfd state{.fd = set.descriptor(), .events = POLLIN, .revents = 0};
        return ::poll(&state, 1, static_cast<int>(patience.count())) == 1;
    }
    std::vector<Publisher> publishers;
    std::vector<Subscription> subscriptions;
    WaitSet set; // goes first
};

TEST_F(WaitSetTest, ThatIsEmptyTimesOut) {
    const auto ready = set.wait(1ms);
    EXPECT_FALSE(ready);
    EXPECT_EQ(ready.why, Nothing::timed_out);
}

TEST_F(WaitSetTest, SaysWhichSubscriptionHasSomething) {
    fill(3);
    EXPECT_FALSE(set.wait(1ms));
    for (const std::size_t i : {1U, 0U, 2U, 2U}) {
        ASSERT_TRUE(publishers[i].publish("x"));
        const auto ready = set.wait(30s);
        ASSERT_EQ(index_of(ready), i);
        take(ready);
    }
    EXPECT_FALSE(set.wait(Deadline::now()));
}

TEST_F(WaitSetTest, ServesAllInTurn) {
    fill(3);
    for (auto& publisher : publishers)
        for (int i = 0; i < 4; ++i) ASSERT_TRUE(publisher.publish("x"));
    for (std::size_t turn = 0; turn < 12; ++turn) {
        const auto ready = set.wait(Deadline::now());
        ASSERT_EQ(index_of(ready), turn % 3);
        take(ready);
    }
}

TEST_F(WaitSetTest, KnowsTheEndOfATopic) {
    fill(2);
    bus.remove_topic("t1", true);
    const auto ready = set.wait(30s);
    ASSERT_EQ(index_of(ready), 1U);
    EXPECT_EQ(std::get<Nothing>(ready.subscription->receive(Deadline::now())), Nothing::closed);
}

TEST_F(WaitSetTest, ForgetsWhatWasRemoved) {
    fill(2);
    EXPECT_THROW(set.add(subscriptions[0]), Error) << "it is there already";
    set.remove(subscriptions[0]);
    set.remove(subscriptions[0]);
    EXPECT_EQ(set.size(), 1U);
    ASSERT_TRUE(publishers[0].publish("x"));
    EXPECT_FALSE(set.wait(1ms));
    ASSERT_TRUE(publishers[1].publish("x"));
    EXPECT_EQ(index_of(set.wait(30s)), 1U);
    set.add(subscriptions[0]);
    EXPECT_EQ(set.size(), 2U);
}

TEST_F(WaitSetTest, CanBeInterrupted) {
    fill(2);
    set.interrupt();
    EXPECT_EQ(set.wait(30s).why, Nothing::interrupted);
    EXPECT_EQ(set.wait(1ms).why, Nothing::timed_out) << "once";
    std::thread other([&] { set.interrupt(); });
    EXPECT_EQ(set.wait(30s).why, Nothing::interrupted);
    other.join();
}

/// A publisher answers each event with one on the next topic: whoever loses a wake-up is stuck.
class WakeUps : public WaitSetTest, public testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(WaitSetTest, WakeUps, testing::Values(3, 130, 300),
                         [](const auto& of) { return std::to_string(of.param); });

TEST_P(WakeUps, AreNeverLost) {
    fill(GetParam());
    bus.create_topic("answers", {.retention = Retention::memory});
    auto answers = bus.subscribe("answers", {.spin = 0s});
    auto answering = bus.publisher("answers");
    constexpr std::size_t rounds = 1000;
    std::thread peer([&] {
        for (std::size_t i = 0; i < rounds; ++i) {
            if (!publishers[i * 7 % publishers.size()].publish("x")) return;
            const auto answer = answers.receive(30s);
            if (!std::holds_alternative<Event>(answer)) return;
        }
    });
    for (std::size_t i = 0; i < rounds; ++i) {
        const auto ready = set.wait(30s);
        ASSERT_EQ(index_of(ready), i * 7 % publishers.size()) << "event " << i;
        take(ready);
        ASSERT_TRUE(answering.publish("y"));
    }
    peer.join();
}

/// The same, in a loop that waits for the descriptor.
TEST_P(WakeUps, ReachADescriptor) {
    fill(GetParam());
    bus.create_topic("answers", {.retention = Retention::memory});
    auto answers = bus.subscribe("answers", {.spin = 0s});
    auto answering = bus.publisher("answers");
    constexpr std::size_t rounds = 1000;
    const base::Fd loop(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event interest{.events = EPOLLIN, .data = {}};
    ASSERT_EQ(::epoll_ctl(loop.get(), EPOLL_CTL_ADD, set.descriptor(), &interest), 0);
    std::thread peer([&] {
        for (std::size_t i = 0; i < rounds; ++i) {
            if (!publishers[i * 7 % publishers.size()].publish("x")) return;
            const auto answer = answers.receive(30s);
            if (!std::holds_alternative<Event>(answer)) return;
        }
    });
    for (std::size_t seen = 0; seen < rounds;) {
        epoll_event event{};
        ASSERT_EQ(::epoll_wait(loop.get(), &event, 1, 30'000), 1) << "event " << seen;
        while (const auto ready = set.wait(Deadline::now())) {
            ASSERT_EQ(index_of(ready), seen++ * 7 % publishers.size());
            take(ready);
            ASSERT_TRUE(answering.publish("y"));
        }
    }
    peer.join();
}

TEST_F(WaitSetTest, RaisesItsDescriptorUntilThereIsNothing) {
    fill(2);
    EXPECT_TRUE(readable()) << "nobody has looked yet";
    EXPECT_FALSE(set.wait(Deadline::now()));
    EXPECT_FALSE(readable());
    ASSERT_TRUE(publishers[0].publish("x"));
    ASSERT_TRUE(publishers[1].publish("x"));
    EXPECT_TRUE(readable(30s));
    take(set.wait(Deadline::now()));
    EXPECT_TRUE(readable()) << "there is more";
    take(set.wait(Deadline::now()));
    EXPECT_FALSE(set.wait(Deadline::now()));
    EXPECT_FALSE(readable());
    set.remove(subscriptions[1]);
    EXPECT_TRUE(readable()) << "look again";
    EXPECT_FALSE(set.wait(Deadline::now()));
    ASSERT_TRUE(publishers[1].publish("x"));
    EXPECT_FALSE(readable(5ms)) << "it is not in the set";
    set.add(subscriptions[1]);
    EXPECT_TRUE(readable());
    EXPECT_EQ(index_of(set.wait(Deadline::now())), 1U);
}

/// Its helper passes on what became of the last one while the descriptor is made.
TEST_F(WaitSetTest, GetsADescriptorWhileItsHelperIsAtWork) {
    fill(130);
    for (int round = 0; round < 5; ++round) {
        WaitSet another;
        for (auto& subscription : subscriptions) another.add(subscription);
        EXPECT_FALSE(another.wait(1ms)) << "now it has orders";
        std::thread peer([&] { (void)publishers.back().publish("x"); });
        EXPECT_GE(another.descriptor(), 0);
        EXPECT_EQ(index_of(another.wait(30s)), 129U);
        take({&subscriptions.back()});
        peer.join();
    }
}

TEST_F(WaitSetTest, BlocksAlsoWithADescriptor) {
    fill(2);
    EXPECT_TRUE(readable());
    std::thread peer([&] { (void)publishers[1].publish("x"); });
    EXPECT_EQ(index_of(set.wait(30s)), 1U);
    peer.join();
}

} // namespace
} // namespace shmbus::test
