// Proves that clients do not notice when the daemon is killed, again and again, under a parent that keeps
// its descriptors: no publish fails, every sequence comes once and in order, nobody is started again, and
// nothing piles up.
#include "base/clock.hpp"
#include "process/child.hpp"
#include "process/inside.hpp"
#include "process/load.hpp"
#include "support/daemon_process.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <thread>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

using namespace std::chrono_literals;

/// publisher SOCKET TOPIC SEED: until it is told to stop; how many it has published.
SHMBUS_WORKER(publisher) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher(args.text(1));
    std::atomic<bool> told{false};
    std::thread listener([&] {
        hear();
        told = true;
    });
    say("ready");
    Load load(args.number(2));
    std::uint64_t count = 0;
    while (!told) {
        const auto item = load.next();
        const Attributes attributes{.id = item.id, .correlation = seal(item.payload, item.id)};
        const auto result = publisher.publish(item.payload, attributes, patience);
        if (!result) throw std::runtime_error(std::string("publish: ") + name_of(result.outcome));
        ++count;
    }
    say("count " + std::to_string(count));
    listener.join();
    return 0;
}

/// subscriber SOCKET TOPIC NAME: every event from the first on; how many, when it is told the last one.
SHMBUS_WORKER(subscriber) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe(args.text(1), {.start = Start::all(), .name = args.text(2)});
    std::atomic<Sequence> last{~Sequence{0}};
    std::thread listener([&] { last = std::stoull(hear()); });
    say("ready");
    Checker checker;
    Sequence next = 1;
    while (next <= last) {
        const auto received = subscription.receive(100ms);
        if (std::holds_alternative<Gap>(received)) throw std::runtime_error("a gap");
        const auto* event = std::get_if<Event>(&received);
        if (event == nullptr) {
            if (std::get<Nothing>(received) != Nothing::timed_out)
                throw std::runtime_error(name_of(std::get<Nothing>(received)));
            continue;
        }
        if (event->sequence() != next++) throw std::runtime_error("out of order");
        if (!checker.check(*event)) throw std::runtime_error("a torn event");
    }
    if (checker.missing() != 0) throw std::runtime_error("events are missing");
    say("count " + std::to_string(next - 1));
    listener.join();
    return 0;
}

/// The one child of a supervising parent; 0 while there is none.
pid_t worker_of(pid_t parent) {
    const auto id = std::to_string(parent);
    std::ifstream children("/proc/" + id + "/task/" + id + "/children");
    pid_t pid = 0;
    children >> pid;
    return pid;
}

class KillDaemon : public testing::Test {
  protected:
    KillDaemon() {
        TopicOptions kept{.capacity = 1024, .slot_bytes = 256};
        kept.retention = Retention::disk;
        TopicOptions fast{.capacity = 1024, .slot_bytes = 256};
        fast.retention = Retention::memory;
        Bus bus({.socket = daemon_.socket()});
        bus.create_topic("kept", kept);
        bus.create_topic("fast", fast);
        for (const std::string topic : {"kept", "fast"}) {
            subscribers_.push_back(
                Child::worker("subscriber", {daemon_.socket(), topic, "worker"}));
            EXPECT_EQ(subscribers_.back().hear(), "ready");
        }
        for (const std::string topic : {"kept", "fast", "kept", "fast"}) {
            publishers_.push_back(Child::worker(
                "publisher", {daemon_.socket(), topic, std::to_string(publishers_.size())}));
            EXPECT_EQ(publishers_.back().hear(), "ready");
        }
    }

    /// Kills the worker and uses the next one; how long it took until that was possible.
    std::chrono::nanoseconds kill_once() {
        const pid_t worker = worker_of(daemon_.pid());
        EXPECT_NE(worker, 0);
        const std::uint64_t began = base::monotonic_ns();
        EXPECT_EQ(::kill(worker, SIGKILL), 0);
        for (const Deadline end = patience; worker_of(daemon_.pid()) == worker;) EXPECT_FALSE(end.passed());
        Bus bus({.socket = daemon_.socket()});
        EXPECT_EQ(bus.topic("kept").publisher_count, 2U);
        EXPECT_EQ(bus.topic("fast").subscriber_count, 1U);
        const std::chrono::nanoseconds took(base::monotonic_ns() - began);
        // Entries come and go, so that some die halfway.
        auto subscription = bus.subscribe("kept", {.lossy = true});
        auto other = bus.subscribe("fast", {.lossy = true});
        EXPECT_TRUE(std::holds_alternative<Event>(subscription.receive(patience)) ||
                    worker_of(daemon_.pid()) == 0);
        return took;
    }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--supervise", "--state-dir", state_.path().string()}};
    std::vector<Child> subscribers_;
    std::vector<Child> publishers_; // of the topics in turn
    Random random_{seed()};
};

TEST_F(KillDaemon, NobodyNotices) {
    const int kills = long_form() ? 200 : 20;
    std::vector<std::chrono::nanoseconds> times;
    Usage early{};
    Usage early_worker{};
    for (int i = 0; i < kills; ++i) {
        const auto until = base::monotonic_ns() + random_.below(100'000'000);
        while (base::monotonic_ns() < until) base::relax();
        times.push_back(kill_once());
        for (auto& child : publishers_) ASSERT_FALSE(child.ended(Deadline::now()));
        for (auto& child : subscribers_) ASSERT_FALSE(child.ended(Deadline::now()));
        if (i == kills / 4) {
            early = usage_of(daemon_.pid());
            early_worker = usage_of(worker_of(daemon_.pid()));
        }
    }
    const auto late = usage_of(daemon_.pid());
    const auto late_worker = usage_of(worker_of(daemon_.pid()));
    EXPECT_LE(late.descriptors, early.descriptors + 4) << "sessions come and go";
    EXPECT_LE(late.anonymous_kib, early.anonymous_kib + 512);
    EXPECT_LE(late_worker.descriptors, early_worker.descriptors + 8) << "connections come and go";
    constexpr std::uint64_t batches_kib = 64 * 1024;
    EXPECT_LE(late_worker.anonymous_kib, early_worker.anonymous_kib + batches_kib);

    std::vector<std::uint64_t> published(2);
    for (auto& publisher : publishers_) publisher.say("stop");
    for (std::size_t i = 0; i < publishers_.size(); ++i)
        published[i % 2] += publishers_[i].hear_numbers("count").at(0);
    for (std::size_t i = 0; i < subscribers_.size(); ++i)
        subscribers_[i].say(std::to_string(published[i]));
    for (std::size_t i = 0; i < subscribers_.size(); ++i) {
        EXPECT_EQ(subscribers_[i].hear_numbers("count").at(0), published[i]);
        EXPECT_EQ(subscribers_[i].wait(), 0);
    }
    for (auto& publisher : publishers_) EXPECT_EQ(publisher.wait(), 0);
    EXPECT_LT(*std::max_element(times.begin(), times.end()), 1s) << daemon_.process().log();

    Bus bus({.socket = daemon_.socket()});
    EXPECT_EQ(bus.topic("kept").head, published[0]) << "no sequence but those of events";
    EXPECT_EQ(bus.topic("fast").head, published[1]);
    RecordProperty("published", std::to_string(published[0]) + " " + std::to_string(published[1]));
    std::sort(times.begin(), times.end());
    RecordProperty("new session, median ms", std::to_string(times[times.size() / 2] / 1ms));
    RecordProperty("new session, slowest ms", std::to_string(times.back() / 1ms));
}

} // namespace

} // namespace shmbus::test
