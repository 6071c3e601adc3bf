// Proves what publishers killed with SIGKILL leave behind: nothing.
//
// Victims publish bursts of events so large that copying one into its slot takes microseconds: most
// of a burst is spent between claim and commit. They hold loans and use chunks. A quarter of them
// is killed at any moment of its life, from exec on, the others at any moment of a burst. Meanwhile
// two publishers send at an even pace and three subscribers note when each of those events arrives.
// For comparison, and in the same run, some victims live on.
//
//   * Subscribers stall at most 10 ms (p99 over all kills and subscribers); also when the victim has 512 MiB of
//     memory, which the kernel takes tens of milliseconds to take down before it says that the process is dead.
//   * All see the same events and the same tombstones; no sequence is missing, no event either.
//   * Afterwards no claim, quarantined slot, owned chunk, entry, hold bit or hold cell is left, and
//     the daemon has as many descriptors and as much memory as before.
//
// One that is stopped instead holds the others up for one to two seconds, until its claim is given up; when it
// goes on it publishes again what it had under way.
//
// 1,000 kills with --long, else 200; of large ones a tenth.
#include "base/clock.hpp"
#include "process/inside.hpp"
#include "process/load.hpp"
#include "process/steady.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <ctime>
#include <gtest/gtest.h>
#include <iostream>

namespace shmbus::test {

namespace {

constexpr std::size_t burst_events = 8;
constexpr std::uint64_t burst_ns = 80'000;         // about what they take
constexpr std::size_t burst_payload = 65'536 - 64; // all that fits a slot
constexpr std::uint64_t window_ns = 20'000'000;    // after a kill; a stall may end later
constexpr std::uint64_t rest_ns = 25'000'000;      // from a kill to the next victim's start

/// What victims tell the test, and it them.
enum Counter : std::size_t { bursts = first_counter, killed_at, leave, published };

/// A signal by the clock hits inside of microseconds; one from another process comes too late.
void signal_after(std::uint64_t ns, int signal) {
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = signal;
    timer_t timer{};
    const itimerspec time{{}, {0, static_cast<long>(ns)}};
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        ::timer_settime(timer, 0, &time, nullptr) != 0)
        throw std::runtime_error("no timer");
}

/// victim SOCKET NUMBER DELAY SIGNAL MIB [3: counters]: publishes until it is told to leave; with a delay
/// in ns, it gets the signal that long after its third burst began.
SHMBUS_WORKER(victim) {
    const auto counters = SharedCounters::inherited(3);
    take_memory(args.number(4) << 20U);
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("steady", {.timeout = patience});
    const auto loan_1 = publisher.loan(5'000);
    const auto loan_2 = publisher.loan(70'000);
    if (!loan_1 || !loan_2) throw std::runtime_error("no loan");
    const std::string inline_payload(burst_payload, 'v');
    const std::string chunk_payload(burst_payload + 1'000, 'c');
    Attributes attributes{.key = {}, .type = other_type};
    const auto publish = [&](const std::string& payload) {
        ++attributes.id;
        if (!publisher.publish(payload, attributes)) throw std::runtime_error("victim: publish");
        ++counters[published];
    };
    for (unsigned i = 0; counters[leave] != args.number(1); ++i) {
        ++counters[bursts];
        if (i == 2 && args.number(2) != 0) {
            counters[killed_at] = base::monotonic_ns() + args.number(2);
            signal_after(args.number(2), static_cast<int>(args.number(3)));
        }
        for (std::size_t n = 0; n < burst_events; ++n) publish(inline_payload);
        publish(chunk_payload);
        // Keeps the load light: a stall should be the kill's.
        pass_time_until(base::monotonic_ns() + 1'000'000);
    }
    return 0;
}

class KillPublishers : public ::testing::Test {
  protected:
    static constexpr unsigned living = SteadyLoad::Size{}.publishers + 1;

    static void SetUpTestSuite() { take_precedence(); }
    void SetUp() override {
        bus_.create_topic("steady", {.capacity = 256,
                                     .slot_bytes = 65'536,
                                     .evict_after_ms = 60'000,
                                     .retention = Retention::memory});
        load_.emplace(daemon_.socket(), SteadyLoad::Size{});
        observer_.emplace(bus_.publisher("steady"));
        view_ = publisher_view(bus_, "steady");
    }

    Child start_victim(std::uint64_t delay = 0, int signal = SIGKILL, unsigned mib = 0) {
        return Child::worker("victim",
                             {daemon_.socket(), std::to_string(++victims_), std::to_string(delay),
                              std::to_string(signal), std::to_string(mib)},
                             {load_->counters().fd()});
    }
    void kill_inside_burst(unsigned mib = 0) {
        auto victim = start_victim(1 + random_.below(burst_ns), SIGKILL, mib);
        EXPECT_EQ(victim.wait(), -SIGKILL);
        kills_.push_back(load_->counters()[killed_at]);
        pass_time_until(kills_.back() + rest_ns);
    }
    void kill_anytime() {
        auto victim = start_victim();
        pass_time_until(base::monotonic_ns() + random_.below(15'000'000));
        kills_.push_back(base::monotonic_ns());
        victim.kill(SIGKILL);
        EXPECT_EQ(victim.wait(), -SIGKILL);
        pass_time_until(kills_.back() + rest_ns);
    }
    void stop_inside_burst() {
        auto victim = start_victim(1 + random_.below(burst_ns), SIGSTOP);
        victim.wait_until_stopped();
        const std::uint64_t stopped_at = load_->counters()[killed_at];
        pass_time_until(stopped_at + 2'600'000'000);
        stops_.push_back(stopped_at);
        load_->counters()[leave] = victims_;
        victim.kill(SIGCONT);
        EXPECT_EQ(victim.wait(), 0);
    }
    void let_live() {
        const std::uint64_t before = load_->counters()[bursts];
        auto victim = start_victim();
        const Deadline deadline = patience;
        while (load_->counters()[bursts] < before + 3)
            ASSERT_FALSE(deadline.passed()) << "the victim does not publish";
        controls_.push_back(base::monotonic_ns());
        pass_time_until(controls_.back() + rest_ns);
        load_->counters()[leave] = victims_;
        EXPECT_EQ(victim.wait(), 0);
    }

    /// The daemon may still be at it.
    void wait_for_the_living_only() {
        const Deadline deadline = patience;
        while (bus_.topic("steady").publisher_count != living)
            ASSERT_FALSE(deadline.passed()) << "entries of dead publishers stay taken";
    }
    void kill_many(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            if (i % 4 == 0) let_live();
            i % 4 == 0 ? kill_anytime() : kill_inside_burst();
        }
        wait_for_the_living_only();
    }
    DaemonProcess daemon_;
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    std::optional<SteadyLoad> load_;
    std::optional<Publisher> observer_;
    ring::Topic view_;
    Random random_{seed()};
    std::uint64_t victims_ = 0;
    Moments kills_;
    Moments controls_;
    Moments stops_;
};

TEST_F(KillPublishers, LeaveNothingBehind) {
    const unsigned count = long_form() ? 1'000 : 200;
    (void)bus_.topics(); // when it has answered it has closed what it had sent before
    const unsigned descriptors = usage_of(daemon_.pid()).descriptors;
    kill_many(20);
    const Usage before = usage_of(daemon_.pid()); // what the daemon needs once, it has by now
    const auto verdict = measure_stalls(*load_, window_ns, [&] {
        kills_.clear();
        controls_.clear();
        kill_many(count);
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

    const auto watched = load_->stop(bus_);
    for (const auto& seen : watched) {
        EXPECT_EQ(seen.hash, watched[0].hash) << "not the same events in the same order";
        EXPECT_EQ(seen.tombstones, watched[0].tombstones);
    }
    EXPECT_GE(watched[0].tombstones.size(), count / 10) << "too few were killed inside a claim";
    EXPECT_EQ(traces_of(view_), Traces{.publishers = 1}) << "more than the observer's own entry";
    std::cout << victims_ << " victims, " << watched[0].tombstones.size() << " tombstones, "
              << watched[0].events << " steady and " << watched[0].other
              << " other events\ndaemon: " << descriptors << " descriptors before and after, "
              << before.anonymous_kib << " KiB, then " << after.anonymous_kib << " KiB\n";
}

TEST_F(KillPublishers, LargeOnesHoldNobodyUpEither) {
    constexpr unsigned mib = 512;
    const unsigned count = long_form() ? 100 : 20;
    const auto verdict = measure_stalls(*load_, window_ns, [&] {
        kills_.clear();
        controls_.clear();
        for (unsigned i = 0; i < count; ++i) {
            let_live();
            kill_inside_burst(mib);
        }
        return std::pair(kills_, controls_);
    });
    if (!instrumented) {
        EXPECT_EQ(verdict, "good");
    }
    wait_for_the_living_only();
    const auto watched = load_->stop(bus_);
    for (const auto& seen : watched) EXPECT_EQ(seen.hash, watched[0].hash);
    EXPECT_GE(watched[0].tombstones.size(), count / 4) << "too few were killed inside a claim";
    EXPECT_EQ(traces_of(view_), Traces{.publishers = 1});
}

TEST_F(KillPublishers, AStoppedOneIsWaitedForNoLongerThanTwoSecondsAndLosesNothing) {
    const unsigned count = long_form() ? 30 : 4;
    for (unsigned i = 0; i < count; ++i) stop_inside_burst();
    wait_for_the_living_only();
    const auto stalls = load_->longest_ms(stops_, window_ns);
    std::cout << "stalls by stopped publishers: " << stalls.text() << '\n';
    EXPECT_LE(stalls.at(1.0), 2'500) << "and those of a busy machine";
    const auto watched = load_->stop(bus_);
    for (const auto& seen : watched) {
        EXPECT_EQ(seen.hash, watched[0].hash);
        EXPECT_EQ(seen.other, load_->counters()[published]) << "each of theirs once";
    }
    EXPECT_GE(watched[0].tombstones.size(), count / 4) << "too few were stopped inside a claim";
    EXPECT_EQ(traces_of(view_), Traces{.publishers = 1});
}

} // namespace

} // namespace shmbus::test
