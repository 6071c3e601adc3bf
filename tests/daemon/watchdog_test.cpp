// The watchdog: what it takes for life, and what not.
#include "daemon/system/watchdog.hpp"

#include "daemon/parent/notify_socket.hpp"

#include <cstdlib>
#include <gmock/gmock.h>
#include <poll.h>
#include <unistd.h>

namespace shmbus::system {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class WatchdogTest : public testing::Test {
  protected:
    static constexpr auto allowed = 600ms;
    WatchdogTest() { ask(::getpid()); }
    ~WatchdogTest() override {
        for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
            ::unsetenv(name);
    }
    void ask(pid_t pid) const {
        ::setenv("NOTIFY_SOCKET", starter.address().c_str(), 1);
        ::setenv("WATCHDOG_USEC",
                 std::to_string(std::chrono::microseconds(allowed).count()).c_str(), 1);
        ::setenv("WATCHDOG_PID", std::to_string(pid).c_str(), 1);
    }
    bool hears(std::chrono::milliseconds patience) {
        pollfd waiting{.fd = starter.fd().get(), .events = POLLIN, .revents = 0};
        if (::poll(&waiting, 1, static_cast<int>(patience.count())) != 1) return false;
        EXPECT_THAT(starter.receive().value().assignments, ElementsAre("WATCHDOG=1"));
        return true;
    }
    /// Nothing comes any more, once what may have been under way has.
    bool falls_silent() {
        (void)hears(allowed);
        return !hears(3 * allowed);
    }
    parent::NotifySocket starter;
};

TEST_F(WatchdogTest, SaysThatTheLoopGoesRound) {
    const Watchdog watchdog;
    ASSERT_TRUE(watchdog.pause());
    EXPECT_EQ(*watchdog.pause(), allowed / 6);
    for (int i = 0; i < 3; ++i) {
        watchdog.beat();
        EXPECT_TRUE(hears(30s));
    }
    EXPECT_TRUE(falls_silent());
    watchdog.beat();
    EXPECT_TRUE(hears(30s));
}

TEST_F(WatchdogTest, AnyWaitForTheDiskIsLife) {
    const Watchdog watchdog;
    EXPECT_TRUE(falls_silent());
    {
        const DiskWait one;
        { const DiskWait within; }
        for (int i = 0; i < 4; ++i) EXPECT_TRUE(hears(30s));
    }
    EXPECT_TRUE(hears(30s)) << "it has ended, which is something";
    EXPECT_TRUE(falls_silent());
}

TEST_F(WatchdogTest, WhatOtherThreadsDoIsNot) {
    const Watchdog watchdog;
    std::thread([&] {
        const DiskWait waits;
        EXPECT_TRUE(falls_silent());
    }).join();
}

TEST_F(WatchdogTest, IsStillWithoutAnybodyWhoAsks) {
    ask(::getppid());
    const Watchdog watchdog;
    EXPECT_FALSE(watchdog.pause());
    watchdog.beat();
    EXPECT_FALSE(hears(allowed));
}

TEST_F(WatchdogTest, EndsAtOnce) {
    ::setenv("WATCHDOG_USEC", "3600000000", 1);
    const auto began = std::chrono::steady_clock::now();
    { const Watchdog watchdog; }
    EXPECT_LT(std::chrono::steady_clock::now() - began, 60s);
}

} // namespace
} // namespace shmbus::system
