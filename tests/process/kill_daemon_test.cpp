// Proves that clients do not notice when the daemon is killed, again and again, under a parent that keeps
// its descriptors: no publish fails, every sequence comes once and in order, nobody is started again, and
// nothing piles up.
#include "base/clock.hpp"
#include "process/inside.hpp"
#include "process/load.hpp"
#include "process/unbroken.hpp"
#include "support/daemon_process.hpp"
#include "support/sanitizers.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

using namespace std::chrono_literals;

/// Overwrites the beginning of a descriptor that a process keeps, memory of this name.
void damage(pid_t pid, const std::string& memory) {
    const auto directory = "/proc/" + std::to_string(pid) + "/fd";
    for (const auto& link : std::filesystem::directory_iterator(directory)) {
        std::error_code gone; // it takes and drops some all the time
        const auto target = std::filesystem::read_symlink(link, gone);
        if (!target.string().starts_with("/memfd:" + memory)) continue;
        std::fstream file(link.path(), std::ios::in | std::ios::out | std::ios::binary);
        ASSERT_TRUE(file << std::string(64, '?') << std::flush) << link;
        return;
    }
    FAIL() << "it keeps no " << memory;
}

class KillDaemon : public testing::Test {
  protected:
    /// Kills the worker and uses the next one; how long it took until that was possible.
    std::chrono::nanoseconds kill_once() {
        const pid_t worker = child_of(daemon_.pid());
        EXPECT_NE(worker, 0);
        const std::uint64_t began = base::monotonic_ns();
        EXPECT_EQ(::kill(worker, SIGKILL), 0);
        for (const Deadline end = patience; child_of(daemon_.pid()) == worker;)
            EXPECT_FALSE(end.passed());
        Bus bus({.socket = daemon_.socket()});
        EXPECT_TRUE(UnbrokenLoad::is_known_to(bus));
        const std::chrono::nanoseconds took(base::monotonic_ns() - began);
        // Entries come and go, so that some die halfway.
        auto subscription = bus.subscribe("kept", {.lossy = true});
        auto other = bus.subscribe("fast", {.lossy = true});
        EXPECT_TRUE(std::holds_alternative<Event>(subscription.receive(patience)) ||
                    child_of(daemon_.pid()) == 0);
        return took;
    }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--supervise", "--state-dir", state_.path().string()}};
    UnbrokenLoad load_{daemon_.socket()};
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
        ASSERT_TRUE(load_.goes_on());
        if (i == kills / 4) {
            early = usage_of(daemon_.pid()); // with those of the sessions that are just there
            early_worker = usage_of(child_of(daemon_.pid()));
        }
    }
    // The last one's are on their way out.
    for (const Deadline end = patience;
         usage_of(daemon_.pid()).descriptors > early.descriptors && !end.passed();) {
    }
    const auto late = usage_of(daemon_.pid());
    const auto late_worker = usage_of(child_of(daemon_.pid()));
    EXPECT_LE(late.descriptors, early.descriptors) << "what was kept of sessions is still there";
    EXPECT_LE(late.anonymous_kib, early.anonymous_kib + 512);
    EXPECT_LE(late_worker.descriptors, early_worker.descriptors + 8) << "connections come and go";
    constexpr std::uint64_t batches_kib = 64 * 1024;
    // AddressSanitizer keeps that much of what was freed; how much it has by now is a matter of age.
    constexpr std::uint64_t quarantine_kib = instrumented ? 256 * 1024 : 0;
    EXPECT_LE(late_worker.anonymous_kib, early_worker.anonymous_kib + batches_kib + quarantine_kib);

    const auto published = load_.stop();

    Bus bus({.socket = daemon_.socket()});
    for (const auto& [topic, sum] : published) {
        EXPECT_EQ(bus.topic(topic).head, sum.events) << "no sequence but those of events";
        RecordProperty(topic, std::to_string(sum.events));
    }
    std::sort(times.begin(), times.end());
    // Not the slowest: a disk that others keep busy may take seconds for one sync.
    EXPECT_LT(times[times.size() * 9 / 10], 1s) << daemon_.process().log();
    RecordProperty("new session, median ms", std::to_string(times[times.size() / 2] / 1ms));
    RecordProperty("new session, slowest ms", std::to_string(times.back() / 1ms));
}

/// What the daemon cannot use of what was kept, it gets from clients: they have it in use.
TEST_F(KillDaemon, WhatIsDamagedClientsHandBack) {
    for (const std::string topic : {"kept", "fast"}) {
        damage(daemon_.pid(), "shmbus-books-" + topic);
        ASSERT_EQ(::kill(child_of(daemon_.pid()), SIGKILL), 0);
        daemon_.process().wait_for_log("topic " + topic + ": its memory was handed back");
        Bus bus({.socket = daemon_.socket()});
        for (const Deadline end = patience; !UnbrokenLoad::is_known_to(bus);)
            ASSERT_FALSE(end.passed()) << daemon_.process().log();
        ASSERT_TRUE(load_.goes_on()) << topic;
    }
    const auto published = load_.stop();
    Bus bus({.socket = daemon_.socket()});
    for (const auto& [topic, sum] : published) EXPECT_EQ(bus.topic(topic).head, sum.events);
}

} // namespace

} // namespace shmbus::test
