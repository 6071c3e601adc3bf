// Proves what publishers killed with SIGKILL leave behind: nothing.
//
// Victims publish bursts of events so large that copying one into its slot takes microseconds; they
// hold loans and use chunks. Some are killed at any moment of their lives, from exec on, some at
// any moment inside a burst, and half of them when their claim stands in the ring. Meanwhile two
// publishers send at an even pace and three subscribers note when each of those events arrives. For
// comparison, and in the same run, some victims live on.
//
//   * Subscribers stall at most 10 ms (p99 over all kills and subscribers).
//   * All see the same events and the same tombstones; no sequence is missing, no event either.
//   * Afterwards no claim, quarantined slot, owned chunk, entry, hold bit or hold cell is left, and
//     the daemon has as many descriptors and as much memory as before.
//
// 1,000 kills with --long, else 200.
#include "base/clock.hpp"
#include "process/inside.hpp"
#include "process/load.hpp"
#include "process/steady.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <iostream>
#include <sched.h>

namespace shmbus::test {

namespace {

constexpr std::size_t burst_events = 8;
constexpr std::size_t burst_payload = 65'536 - 64; // all that fits a slot
constexpr std::uint64_t window_ns = 20'000'000;    // after a kill; a stall may end later
constexpr std::uint64_t rest_ns = 25'000'000;      // from a kill to the next victim's start

/// What victims tell the test, and it them.
enum Counter : std::size_t { bursts = first_counter, burst_ns, leave };

/// The test watches for claims on one core, and victims make them on another, if there is one.
void stay_on(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    (void)::sched_setaffinity(0, sizeof cores, &cores);
}
void stay_off(int core) {
    cpu_set_t cores;
    std::memset(&cores, 0xff, sizeof cores);
    CPU_CLR(core, &cores);
    (void)::sched_setaffinity(0, sizeof cores, &cores);
}

/// victim SOCKET NUMBER CORE [3: counters]: publishes until it is killed, or told to leave.
SHMBUS_WORKER(victim) {
    stay_off(static_cast<int>(args.number(2)));
    const auto counters = SharedCounters::inherited(3);
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("steady", {.timeout = patience});
    const auto loan_1 = publisher.loan(5'000);
    const auto loan_2 = publisher.loan(70'000);
    if (!loan_1 || !loan_2)
        throw std::runtime_error("no loan");
    const std::string inline_payload(burst_payload, 'v');
    const std::string chunk_payload(burst_payload + 1'000, 'c');
    Attributes attributes{.key = {}, .type = other_type};
    const auto publish = [&](const std::string& payload) {
        ++attributes.id;
        if (!publisher.publish(payload, attributes))
            throw std::runtime_error("victim: publish");
    };
    say("ready");
    while (counters[leave] != args.number(1)) {
        const std::uint64_t start = base::monotonic_ns();
        ++counters[bursts];
        for (std::size_t i = 0; i < burst_events; ++i)
            publish(inline_payload);
        counters[burst_ns] = base::monotonic_ns() - start;
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
        bus_.create_topic("steady",
                          {.capacity = 256, .slot_bytes = 65'536, .evict_after_ms = 60'000});
        load_.emplace(daemon_.socket(), SteadyLoad::Size{});
        observer_.emplace(bus_.publisher("steady"));
        view_ = publisher_view(bus_, "steady");
        core_ = ::sched_getcpu();
        stay_on(core_); // and with it the victims, until they say otherwise
    }

    Child start_victim() {
        return Child::worker("victim",
                             {daemon_.socket(), std::to_string(++victims_), std::to_string(core_)},
                             {load_->counters().fd()});
    }
    static void spin_for(std::uint64_t ns) {
        for (const auto until = base::monotonic_ns() + ns; base::monotonic_ns() < until;)
            base::relax();
    }
    template <class Condition> static void spin_until(Condition condition) {
        const Deadline deadline = patience;
        while (!condition())
            if (deadline.passed())
                throw std::runtime_error("the victim does not publish");
    }
    void wait_for_burst() {
        const std::uint64_t seen = load_->counters()[bursts];
        spin_until([&] { return load_->counters()[bursts] != seen; });
    }
    [[nodiscard]] bool claim_stands() const {
        const auto& ring = view_.ring;
        const Sequence newest = ring.header().tail.load_acquire() - 1;
        return ring::Stamp(ring.slot(newest).stamp.load_acquire()).slot_state() ==
               ring::SlotState::claimed;
    }

    void kill_inside_burst() {
        auto victim = start_victim();
        victim.hear();
        wait_for_burst();
        spin_for(
            random_.below(std::clamp<std::uint64_t>(load_->counters()[burst_ns], 20'000, 500'000)));
        kill(victim);
    }
    void kill_inside_claim() {
        auto victim = start_victim();
        victim.hear();
        wait_for_burst();
        spin_until([&] { return claim_stands(); });
        kill(victim);
    }
    void kill_anytime() {
        auto victim = start_victim();
        spin_for(random_.below(15'000'000));
        kill(victim);
    }
    void kill(Child& victim) {
        kills_.push_back(base::monotonic_ns());
        victim.kill(SIGKILL);
        EXPECT_EQ(victim.wait(), -SIGKILL);
        pass_time_until(kills_.back() + rest_ns);
    }
    void let_live() {
        auto victim = start_victim();
        victim.hear();
        wait_for_burst();
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
            if (i % 4 == 0)
                let_live();
            switch (i % 4) {
            case 0:
                kill_anytime();
                break;
            case 1:
                kill_inside_burst();
                break;
            default:
                kill_inside_claim();
                break;
            }
        }
        wait_for_the_living_only();
    }
    DaemonProcess daemon_;
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    std::optional<SteadyLoad> load_;
    std::optional<Publisher> observer_;
    ring::Topic view_;
    int core_ = 0;
    Random random_{seed()};
    std::uint64_t victims_ = 0;
    Moments kills_;
    Moments controls_;
};

TEST_F(KillPublishers, LeaveNothingBehind) {
    const unsigned count = long_form() ? 1'000 : 200;
    const unsigned descriptors = usage_of(daemon_.pid()).descriptors;
    kill_many(20);
    const Usage before = usage_of(daemon_.pid()); // what the daemon needs once, it has by now
    const auto verdict = measure_stalls(*load_, window_ns, [&] {
        kills_.clear();
        controls_.clear();
        kill_many(count);
        return std::pair(kills_, controls_);
    });
    EXPECT_EQ(verdict, "good");
    const Usage after = usage_of(daemon_.pid());
    const Deadline deadline = patience; // it may still be at closing the last connection
    while (usage_of(daemon_.pid()).descriptors != descriptors)
        ASSERT_FALSE(deadline.passed()) << usage_of(daemon_.pid()).descriptors << " descriptors";
    EXPECT_LE(after.anonymous_kib, before.anonymous_kib + 1024);

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

} // namespace

} // namespace shmbus::test
