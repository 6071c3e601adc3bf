// Proves that a consumer that is stopped (SIGSTOP, a debugger) does not slow the publishers of a topic on
// disk: their rate with it and without differs by less than 5 %.
//
// Two topics that are alike, one of which has the consumer, take as many events by turns. What the machine
// does by itself is the same for both, in the median of the pairs; there are as many pairs as it takes
// until the interval of that, of 95 % or more, lies on one side.
#include "base/clock.hpp"
#include "process/child.hpp"
#include "support/daemon_process.hpp"
#include "tools/bench/statistics.hpp"

#include <array>
#include <csignal>
#include <gtest/gtest.h>
#include <iostream>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

using tools::bench::interval_of_median;
using tools::bench::median;

constexpr double tolerance = 0.05;
constexpr std::size_t fewest_pairs = 30;
constexpr std::size_t most_pairs = 800;
constexpr std::uint64_t laps = 4; // of the ring, in each half of a pair

TopicOptions on_disk() {
    TopicOptions options{.capacity = 16'384, .slot_bytes = 256, .max_event = 128, .pool_bytes = 0};
    options.retention = Retention::disk;
    options.sync = Sync::none;
    options.keep_bytes = 32 << 20; // what is written is gone before the kernel brings it to disk
    return options;
}

/// publish SOCKET: "TOPIC" is answered by how many ns it took to publish a few laps of its ring.
SHMBUS_WORKER(publish) {
    Bus bus({.socket = args.text(0)});
    std::map<std::string, Publisher> publishers;
    for (const char* const topic : {"one", "other"})
        publishers.emplace(topic, bus.publisher(topic, {.timeout = patience}));
    say("ready");
    const std::string payload(100, 'x');
    for (;;) {
        const auto topic = hear();
        auto& publisher = publishers.at(topic);
        const auto begin = base::monotonic_ns();
        for (std::uint64_t i = 0; i < laps * on_disk().capacity; ++i)
            if (!publisher.publish(payload)) throw std::runtime_error("publish");
        const auto end = base::monotonic_ns();
        // Nothing of this is left to be done when the next one begins.
        for (auto info = bus.topic(topic); info.written < info.head;) info = bus.topic(topic);
        say("took " + std::to_string(end - begin));
    }
}

/// consume SOCKET TOPIC
SHMBUS_WORKER(consume) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe(args.text(1), {.start = Start::all()});
    const auto first = subscription.receive(patience);
    if (!std::holds_alternative<Event>(first)) throw std::runtime_error("no event");
    say("reads");
    for (;;) (void)subscription.receive(patience);
}

class StoppedConsumer : public testing::Test {
  protected:
    StoppedConsumer() {
        for (const char* const topic : {"one", "other"}) bus_.create_topic(topic, on_disk());
        publisher_ = Child::worker("publish", {daemon_.socket()});
        EXPECT_EQ(publisher_->hear(), "ready");
        for (const char* const topic : {"one", "other"}) (void)time_of(topic);
    }
    double time_of(const std::string& topic) {
        publisher_->say(topic);
        return static_cast<double>(publisher_->hear_numbers("took").at(0));
    }
    /// Ratios of the time that a topic takes with a consumer to that of the other one.
    void measure(const std::string& with, const std::string& without, std::size_t pairs) {
        auto consumer = Child::worker("consume", {daemon_.socket(), with});
        EXPECT_EQ(consumer.hear(), "reads");
        consumer.kill(SIGSTOP);
        for (std::size_t i = 0; i < pairs; ++i) {
            const bool is_first = i % 2 == 0;
            const double first = time_of(is_first ? with : without);
            const double second = time_of(is_first ? without : with);
            ratios_.push_back(is_first ? first / second : second / first);
        }
        EXPECT_EQ(bus_.topic(with).subscribers.size(), 1U) << "it was there all the time";
        EXPECT_EQ(bus_.topic(without).subscribers.size(), 0U);
        consumer.kill(SIGKILL);
        EXPECT_EQ(consumer.wait(), -SIGKILL);
        for (const Deadline end = patience; !bus_.topic(with).subscribers.empty();)
            ASSERT_FALSE(end.passed());
    }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--state-dir", state_.path().string()}};
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    std::optional<Child> publisher_;
    std::vector<double> ratios_;
};

TEST_F(StoppedConsumer, DoesNotSlowPublishers) {
    tools::bench::Interval interval{0, 2};
    const auto is_settled = [&] {
        return (interval.low > 1 - tolerance && interval.high < 1 + tolerance) ||
               interval.low > 1 + tolerance || interval.high < 1 - tolerance;
    };
    // One topic has the consumer, then the other: what may be different between them is no matter.
    while (ratios_.size() < most_pairs && !is_settled()) {
        measure("one", "other", fewest_pairs / 2);
        measure("other", "one", fewest_pairs / 2);
        interval = interval_of_median(ratios_);
    }
    std::cout << "with a stopped consumer, against without: " << median(ratios_) << " of the time ("
              << interval.low << " to " << interval.high << "; " << ratios_.size() << " pairs)\n";
    EXPECT_GT(interval.low, 1 - tolerance);
    EXPECT_LT(interval.high, 1 + tolerance);
}

} // namespace

} // namespace shmbus::test
