// Proves that no wake-up is lost between processes:
//
//   * a parked receiver gets every event, one at a time, 200,000 times: each publisher waits for
//   the
//     echo before it sends the next, so an event that woke nobody would stay until the deadline;
//   * publishers that wait for space in the smallest ring there is get on;
//   * a publisher that is killed between commit and wake-up leaves nobody asleep: the daemon rings
//     for the dead. (The kill is not left to chance: the worker commits by hand and does not ring.)
#include "base/clock.hpp"
#include "process/inside.hpp"
#include "process/steady.hpp"
#include "process/strace.hpp"
#include "shmbus/bus.hpp"
#include "support/daemon_process.hpp"

#include <algorithm>
#include <csignal>
#include <gtest/gtest.h>
#include <iostream>
#include <sys/resource.h>

namespace shmbus::test {

namespace {

constexpr auto no_spin = std::chrono::nanoseconds::zero();
constexpr std::chrono::seconds late{5}; // nothing else than a lost wake-up takes that long
constexpr std::uint32_t last_type = 9;

/// The next event, within its deadline. @throws std::runtime_error when there is none
Event next(Subscription& subscription, Deadline deadline = late) {
    auto received = subscription.receive(deadline);
    if (auto* event = std::get_if<Event>(&received)) return std::move(*event);
    if (std::holds_alternative<Gap>(received)) throw std::runtime_error("a gap");
    const auto asleep_at = subscription.position();
    throw std::runtime_error(std::string("receive: ") + name_of(std::get<Nothing>(received)) +
                             (asleep_at <= subscription.head() ? ", with an event there" : ""));
}

/// echo SOCKET: sends back the id of each event, until the event of last_type.
SHMBUS_WORKER(echo) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("there", {.spin = no_spin});
    auto publisher = bus.publisher("back", {.timeout = late});
    say("ready");
    for (;;) {
        const auto event = next(subscription, patience);
        if (!publisher.publish("", {.key = {}, .id = event.id()}))
            throw std::runtime_error("echo: publish");
        if (event.type() == last_type) break;
    }
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    say("slept " + std::to_string(usage.ru_nvcsw));
    return 0;
}

TEST(Wakeup, ParkedReceiversGetEveryEventInTime) {
    constexpr std::uint64_t count = 200'000;
    DaemonProcess daemon;
    Bus bus({.socket = daemon.socket()});
    bus.create_topic("there");
    bus.create_topic("back");
    auto echo = Child::worker("echo", {daemon.socket()});
    auto subscription = bus.subscribe("back", {.spin = no_spin});
    auto publisher = bus.publisher("there", {.timeout = late});
    EXPECT_EQ(echo.hear(), "ready");
    const std::uint64_t start = base::monotonic_ns();
    std::uint64_t before = start;
    Percentiles trips;
    for (std::uint64_t id = 1; id <= count; ++id) {
        const std::uint32_t type = id == count ? last_type : 0;
        ASSERT_TRUE(publisher.publish("", {.key = {}, .type = type, .id = id}));
        ASSERT_EQ(next(subscription).id(), id);
        const std::uint64_t now = base::monotonic_ns();
        trips.add(static_cast<double>(now - before) / 1e6);
        before = now;
    }
    const std::uint64_t slept = echo.hear_numbers("slept").at(0);
    EXPECT_GT(slept, count / 2) << "the receiver was hardly ever asleep";
    EXPECT_EQ(echo.wait(), 0);
    std::cout << count << " round trips between sleepers: " << trips.text() << ", asleep " << slept
              << " times, " << static_cast<double>(before - start) / 1e9 << " s\n";
}

/// push SOCKET COUNT: publishes; says how many publishes took as long as a look by the clock.
SHMBUS_WORKER(push) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("small", {.timeout = late});
    say("ready");
    hear();
    std::uint64_t suspicious = 0;
    std::uint64_t longest = 0;
    for (std::uint64_t i = 0; i < args.number(1); ++i) {
        const std::uint64_t start = base::monotonic_ns();
        const auto result = publisher.publish("x");
        const std::uint64_t took = base::monotonic_ns() - start;
        if (!result) throw std::runtime_error(std::string("push: ") + name_of(result.outcome));
        // A publisher that waits looks up by itself every 50 ms: that would hide a lost wake-up.
        if (took >= 50'000'000 && took < 51'000'000) ++suspicious;
        longest = std::max(longest, took);
    }
    say("pushed " + std::to_string(suspicious) + ' ' + std::to_string(longest));
    return 0;
}

/// pull SOCKET COUNT: receives.
SHMBUS_WORKER(pull) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("small", {.spin = no_spin});
    say("ready");
    for (std::uint64_t i = 0; i < args.number(1); ++i) (void)next(subscription, patience);
    return 0;
}

TEST(Wakeup, PublishersThatWaitForSpaceGetOn) {
    constexpr std::uint64_t each = 100'000;
    DaemonProcess daemon;
    Bus bus({.socket = daemon.socket()});
    bus.create_topic("small", {.capacity = 2, .evict_after_ms = 60'000});
    std::vector<Child> pullers;
    std::vector<Child> pushers;
    for (int i = 0; i < 2; ++i) {
        pullers.push_back(Child::worker("pull", {daemon.socket(), std::to_string(2 * each)}));
        pushers.push_back(Child::worker("push", {daemon.socket(), std::to_string(each)}));
    }
    for (auto& puller : pullers) EXPECT_EQ(puller.hear(), "ready");
    for (auto& pusher : pushers) EXPECT_EQ(pusher.hear(), "ready");
    const std::uint64_t start = base::monotonic_ns();
    for (auto& pusher : pushers) pusher.say("go");
    for (auto& pusher : pushers) {
        const auto pushed = pusher.hear_numbers("pushed");
        EXPECT_LE(pushed.at(0), 2U) << "woken by the clock, not by who made room";
        std::cout << each << " events through two slots: " << pushed.at(0)
                  << " as late as a lost wake-up, the longest took "
                  << static_cast<double>(pushed.at(1)) / 1e6 << " ms\n";
        EXPECT_EQ(pusher.wait(), 0);
    }
    for (auto& puller : pullers) EXPECT_EQ(puller.wait(), 0);
    std::cout << static_cast<double>(base::monotonic_ns() - start) / 1e9 << " s\n";
}

/// silent SOCKET: commits an event and does not ring.
SHMBUS_WORKER(silent) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("silent");
    const auto ring = publisher_view(bus, "silent").ring;
    std::uint32_t me = 0;
    while (ring.publisher(me).id.load_acquire() != publisher.id()) ++me;
    const Sequence s = ring.header().tail.load_acquire();
    auto& slot = ring.slot(s);
    std::uint64_t seen = slot.stamp.load_acquire();
    std::uint64_t tail = s;
    const auto claimed = ring::Stamp::slot(s, ring::SlotState::claimed, me).word();
    if (!slot.stamp.cas_seq_cst(seen, claimed) || !ring.header().tail.cas_release(tail, s + 1))
        throw std::runtime_error("silent: somebody else publishes");
    layout::EventHeader header{};
    header.chunk = layout::no_chunk;
    header.publisher = publisher.id();
    const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(header);
    for (std::size_t i = 0; i < words.size(); ++i) slot.header[i].store_relaxed(words[i]);
    slot.stamp.store_release(ring::Stamp::slot(s, ring::SlotState::committed).word());
    say("committed");
    hear();
    return 1;
}

/// sleep SOCKET: says when each event came.
SHMBUS_WORKER(sleep) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("silent", {.spin = no_spin});
    say("ready");
    for (;;) {
        const auto sequence = next(subscription, patience).sequence();
        say("woke " + std::to_string(sequence) + ' ' + std::to_string(base::monotonic_ns()));
    }
}

TEST(Wakeup, ThePublisherDiedBetweenCommitAndWakeUp) {
    DaemonProcess daemon;
    Bus bus({.socket = daemon.socket()});
    bus.create_topic("silent", {.capacity = 16});
    auto sleeper = Child::worker("sleep", {daemon.socket()});
    EXPECT_EQ(sleeper.hear(), "ready");
    Percentiles delays;
    for (std::uint64_t i = 1; i <= 100; ++i) {
        auto silent = Child::worker("silent", {daemon.socket()});
        wait_until_parked(sleeper.pid());
        ASSERT_EQ(silent.hear(), "committed");
        ASSERT_TRUE(is_parked(sleeper.pid())) << "something else woke it";
        const std::uint64_t killed = base::monotonic_ns();
        silent.kill(SIGKILL);
        const auto woke = sleeper.hear_numbers("woke", late);
        EXPECT_EQ(woke.at(0), i);
        delays.add(static_cast<double>(woke.at(1) - killed) / 1e6);
        EXPECT_EQ(silent.wait(), -SIGKILL);
    }
    std::cout << "woken after the kill of a silent publisher: " << delays.text() << '\n';
}

} // namespace

} // namespace shmbus::test
