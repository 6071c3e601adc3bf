// Robust futexes of clients, watched from an event loop.
#include "daemon/supervisor/thread_watch.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <kj/async-io.h>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::supervisor {
namespace {

using registry::SessionId;
using testing::ElementsAre;

class ThreadWatchTest : public testing::Test {
  protected:
    ThreadWatchTest() = default;
    ~ThreadWatchTest() noexcept override {} // those of kj's classes may throw
    /// A process that holds all of these until it is killed.
    static pid_t start(const std::vector<base::Fd>& futexes) {
        int ready[2];
        EXPECT_EQ(::pipe(ready), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            std::vector<std::unique_ptr<base::RobustHold>> holds;
            for (const auto& futex : futexes)
                holds.push_back(std::make_unique<base::RobustHold>(futex));
            (void)!::write(ready[1], "x", 1);
            ::pause();
        }
        char byte = 0;
        EXPECT_EQ(::read(ready[0], &byte, 1), 1);
        ::close(ready[0]);
        ::close(ready[1]);
        return child;
    }
    static void kill(pid_t child) {
        ::kill(child, SIGKILL);
        EXPECT_EQ(::waitpid(child, nullptr, 0), child);
    }
    /// Until so many were told of.
    void wait_for(std::size_t count) {
        auto& timer = io.provider->getTimer();
        const auto late = timer.now() + 60 * kj::SECONDS;
        while (ended.size() < count) {
            ASSERT_LT(timer.now(), late) << ended.size() << " of " << count;
            timer.afterDelay(1 * kj::MILLISECONDS).wait(io.waitScope);
        }
    }

    kj::AsyncIoContext io = kj::setupAsyncIo();
    std::vector<SessionId> ended;
    ThreadWatch watch{io.unixEventPort, [this](SessionId session) { ended.push_back(session); }};
};

TEST_F(ThreadWatchTest, TellsOfEachOnce) {
    std::vector<base::Fd> one;
    std::vector<base::Fd> other;
    one.push_back(watch.watch(1));
    other.push_back(watch.watch(2));
    const pid_t first = start(one);
    const pid_t second = start(other);
    kill(second);
    wait_for(1);
    EXPECT_THAT(ended, ElementsAre(2));
    kill(first);
    wait_for(2);
    EXPECT_THAT(ended, ElementsAre(2, 1));
}

TEST_F(ThreadWatchTest, WatchesMoreThanOneThreadCanSleepOn) {
    constexpr SessionId many = 2 * base::max_watched + 50;
    std::vector<base::Fd> futexes;
    for (SessionId session = 1; session <= many; ++session) futexes.push_back(watch.watch(session));
    kill(start(futexes));
    wait_for(many);
    EXPECT_EQ(std::set<SessionId>(ended.begin(), ended.end()).size(), many);
}

TEST_F(ThreadWatchTest, SaysNothingOfWhoWasForgottenOrHasAnotherByNow) {
    std::vector<base::Fd> old;
    std::vector<base::Fd> now;
    old.push_back(watch.watch(1));
    old.push_back(watch.watch(2));
    now.push_back(watch.watch(1)); // after a new connection
    const pid_t before = start(old);
    const pid_t child = start(now);
    watch.forget(2);
    kill(before);
    kill(child);
    wait_for(1);
    EXPECT_THAT(ended, ElementsAre(1));
}

} // namespace
} // namespace shmbus::supervisor
