// Proves that subscribers killed with SIGKILL give everything back: their place at the gate, so
// that publishers go on, the chunks they held, and their entries.
//
// The topic is small: a dead subscriber that still counts brings the publishers to a stop within
// milliseconds. 200 kills.
#include "base/clock.hpp"
#include "process/inside.hpp"
#include "process/load.hpp"
#include "process/steady.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <deque>
#include <gtest/gtest.h>
#include <iostream>

namespace shmbus::test {

namespace {

constexpr std::uint64_t window_ns = 20'000'000; // after a kill; a stall may end later
constexpr std::uint64_t rest_ns = 25'000'000;   // from a kill to the next holder's start
constexpr std::size_t chunk_payload = 6'000;

/// holder SOCKET: receives, acknowledges, and holds what it received as long as it can.
SHMBUS_WORKER(holder) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("steady", {.start = Start::all(), .auto_acknowledge = false});
    say("ready");
    std::deque<Event> held;
    for (;;) {
        auto received = subscription.receive(patience);
        if (auto* event = std::get_if<Event>(&received)) {
            subscription.acknowledge(*event);
            if (!event->in_place()) throw std::runtime_error("holder: not in a chunk");
            held.push_back(std::move(*event));
            if (held.size() == 8) say("holds");
            if (held.size() > 8) held.pop_front();
        } else if (!std::holds_alternative<Gap>(received)) {
            throw std::runtime_error(std::string("holder: ") +
                                     name_of(std::get<Nothing>(received)));
        }
    }
}

class KillSubscribers : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { take_precedence(); }
    void SetUp() override {
        bus_.create_topic("steady", {.capacity = 32,
                                     .max_event = 16'384,
                                     .pool_bytes = 4U << 20U,
                                     .evict_after_ms = 60'000,
                                     .hold_timeout_ms = 60'000,
                                     .retention = Retention::memory});
        load_.emplace(daemon_.socket(),
                      SteadyLoad::Size{.period_us = 500, .payload = chunk_payload});
    }
    Child start_holder() {
        auto holder = Child::worker("holder", {daemon_.socket()});
        EXPECT_EQ(holder.hear(), "ready");
        EXPECT_EQ(holder.hear(), "holds");
        return holder;
    }
    void spin_for(std::uint64_t ns) {
        for (const auto until = base::monotonic_ns() + ns; base::monotonic_ns() < until;)
            base::relax();
    }
    void kill_holding() {
        auto holder = start_holder();
        spin_for(random_.below(2'000'000));
        kill(holder);
    }
    void kill_anytime() {
        auto holder = Child::worker("holder", {daemon_.socket()});
        spin_for(random_.below(15'000'000));
        kill(holder);
    }
    void kill(Child& holder) {
        kills_.push_back(base::monotonic_ns());
        holder.kill(SIGKILL);
        EXPECT_EQ(holder.wait(), -SIGKILL);
        pass_time_until(kills_.back() + rest_ns);
    }
    /// The holder is killed too, but after what is measured.
    void let_live() {
        auto holder = start_holder();
        controls_.push_back(base::monotonic_ns());
        pass_time_until(controls_.back() + rest_ns);
    }
    void kill_many(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            if (i % 4 == 0) let_live();
            i % 4 == 3 ? kill_anytime() : kill_holding();
        }
        const Deadline deadline = patience; // the daemon may still be at it
        while (bus_.topic("steady").subscriber_count != SteadyLoad::Size{}.watchers)
            ASSERT_FALSE(deadline.passed()) << "entries of dead subscribers stay taken";
    }

    DaemonProcess daemon_;
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    std::optional<SteadyLoad> load_;
    Random random_{seed()};
    Moments kills_;
    Moments controls_;
};

TEST_F(KillSubscribers, LeaveNothingBehind) {
    (void)bus_.topics(); // when it has answered it has closed what it had sent before
    const unsigned descriptors = usage_of(daemon_.pid()).descriptors;
    kill_many(20);
    const Usage before = usage_of(daemon_.pid()); // what the daemon needs once, it has by now
    const auto verdict = measure_stalls(*load_, window_ns, [&] {
        kills_.clear();
        controls_.clear();
        kill_many(200);
        return std::pair(kills_, controls_);
    });
    if (!instrumented) { // a sanitizer makes dying slow: its shadow memory goes first
        EXPECT_EQ(verdict, "good");
    }
    const Usage after = usage_of(daemon_.pid());
    const Deadline deadline = patience; // it may still be at closing the last connection
    while (usage_of(daemon_.pid()).descriptors != descriptors)
        ASSERT_FALSE(deadline.passed()) << usage_of(daemon_.pid()).descriptors << " descriptors";
    if (!instrumented) {
        EXPECT_LE(after.anonymous_kib, before.anonymous_kib + 1024);
    }

    for (const auto& seen : load_->stop(bus_)) EXPECT_TRUE(seen.tombstones.empty());
    const auto observer = bus_.publisher("steady");
    EXPECT_EQ(traces_of(publisher_view(bus_, "steady")), Traces{.publishers = 1})
        << "more than the observer's own entry";
}

} // namespace

} // namespace shmbus::test
