// Proves that clients do not notice when a daemon ends, killed or in order, and another one is started that
// nobody hands anything: they hand back what they have. Without any client all that was durable is there,
// and the rest is one gap.
#include "base/clock.hpp"
#include "process/load.hpp"
#include "process/unbroken.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <gtest/gtest.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

using namespace std::chrono_literals;

class KillBareDaemon : public testing::Test {
  protected:
    void end(int signal) {
        daemon_.kill(signal);
        EXPECT_EQ(daemon_.wait(), signal == SIGKILL ? -SIGKILL : 0);
    }
    /// Uses the topics at once, which must not take them away from those who had them.
    void come_new() {
        Bus bus({.socket = daemon_.socket()});
        for (const auto* topic : {"kept", "fast"}) {
            auto subscription = bus.subscribe(topic, {.lossy = true});
            const auto received = subscription.receive(patience);
            EXPECT_FALSE(std::holds_alternative<Nothing>(received)) << topic;
        }
    }
    void wait_until_all_are_back() {
        Bus bus({.socket = daemon_.socket()});
        for (const Deadline end = patience;;) {
            try {
                if (UnbrokenLoad::is_known_to(bus)) return;
            } catch (const Error& e) {
                ASSERT_EQ(e.code(), Errc::no_such_topic) << e.what();
            }
            ASSERT_FALSE(end.passed()) << daemon_.process().log();
        }
    }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--state-dir", state_.path().string()}};
    Random random_{seed()};
};

TEST_F(KillBareDaemon, NobodyNotices) {
    UnbrokenLoad load(daemon_.socket());
    const int ends = long_form() ? 200 : 20;
    for (int i = 0; i < ends; ++i) {
        const auto until = base::monotonic_ns() + random_.below(100'000'000);
        while (base::monotonic_ns() < until) base::relax();
        end(i % 4 < 2 ? SIGKILL : SIGTERM);
        daemon_.restart();
        if (i % 2 == 0) come_new();
        wait_until_all_are_back();
        ASSERT_TRUE(load.goes_on()) << i;
    }
    const auto published = load.stop();
    Bus bus({.socket = daemon_.socket()});
    for (const auto& [topic, sum] : published) {
        EXPECT_EQ(bus.topic(topic).head, sum.events + sum.aborted);
        EXPECT_LE(sum.aborted, UnbrokenLoad::publishers * static_cast<unsigned>(ends) / 2);
        EXPECT_GT(sum.events, 0U);
        RecordProperty(topic, std::to_string(sum.events));
        RecordProperty(topic + " aborted", std::to_string(sum.aborted));
    }
}

/// publisher SOCKET: until it is killed.
SHMBUS_WORKER(publisher) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("kept");
    say("ready");
    for (;;) (void)publisher.publish("event", {}, patience);
}

TEST_F(KillBareDaemon, WithoutAClientTheRestIsOneGap) {
    {
        Bus bus({.socket = daemon_.socket()});
        bus.create_topic("kept", {.capacity = 1024, .slot_bytes = 128});
        bus.create_topic("fast", {.retention = Retention::memory});
    }
    auto child = Child::worker("publisher", {daemon_.socket()});
    ASSERT_EQ(child.hear(), "ready");
    Sequence durable = 0;
    for (const Deadline end = patience; durable < 5'000;) {
        ASSERT_FALSE(end.passed());
        durable = Bus({.socket = daemon_.socket()}).topic("kept").durable;
    }
    end(SIGKILL);
    child.kill(SIGKILL);
    child.wait();
    daemon_.restart();

    Bus bus({.socket = daemon_.socket()});
    auto subscription = bus.subscribe("kept", {.start = Start::all()});
    Sequence last = 0;
    std::vector<Gap> gaps;
    while (!subscription.caught_up()) {
        const auto received = subscription.receive(patience);
        if (const auto* gap = std::get_if<Gap>(&received)) {
            gaps.push_back(*gap);
            continue;
        }
        ASSERT_TRUE(std::holds_alternative<Event>(received));
        ASSERT_EQ(std::get<Event>(received).sequence(), ++last);
        ASSERT_TRUE(gaps.empty());
    }
    EXPECT_GE(last, durable);
    ASSERT_EQ(gaps.size(), 1U);
    EXPECT_EQ(gaps[0], (Gap{last + 1, bus.topic("kept").head, GapReason::lost}));
    auto publisher = bus.publisher("kept");
    EXPECT_EQ(publisher.publish("event").sequence, gaps[0].last + 1);
    for (const auto& topic : bus.topics()) EXPECT_NE(topic.name, "fast");
}

} // namespace

} // namespace shmbus::test
