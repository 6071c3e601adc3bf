// Sleeping and waking, within a process and between two. Every wait has a deadline.
#include "base/futex.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace shmbus::base {
namespace {

using namespace std::chrono_literals;

class Futex : public testing::Test {
  protected:
    Word64 word{7};
    Word32 interrupt{0};
};

TEST_F(Futex, IsThereOnThisKernel) { EXPECT_NO_THROW(require_futex_waitv()); }

TEST_F(Futex, DoesNotSleepWhenTheWordMovedOn) {
    EXPECT_EQ(futex_wait(word, 6, interrupt, 10s), Woken::look);
}

TEST_F(Futex, SleepsUpToTheDeadline) {
    const auto before = Deadline::Clock::now();
    EXPECT_EQ(futex_wait(word, 7, interrupt, 20ms), Woken::timed_out);
    EXPECT_GE(Deadline::Clock::now() - before, 20ms);
}

TEST_F(Futex, ADeadlineThatPassedDoesNotSleep) {
    EXPECT_EQ(futex_wait(word, 7, interrupt, Deadline::now()), Woken::timed_out);
    EXPECT_EQ(futex_wait(word, 7, interrupt, Deadline::Clock::now() - 1s), Woken::timed_out);
}

TEST_F(Futex, LooksAtTheLowHalf) {
    word.store_release(1ULL << 32U | 7U);
    EXPECT_EQ(futex_wait(word, 7, interrupt, 5ms), Woken::timed_out);
    EXPECT_EQ(futex_wait(word, (1ULL << 32U) + 8U, interrupt, 10s), Woken::look);
}

TEST_F(Futex, AnInterruptThatIsSetEndsTheSleepBeforeItBegins) {
    interrupt.store_release(1);
    EXPECT_EQ(futex_wait(word, 7, interrupt, 10s), Woken::interrupted);
    EXPECT_EQ(futex_wait(word, 6, interrupt, Deadline::now()), Woken::interrupted);
}

TEST_F(Futex, IsWokenByTheWord) {
    std::jthread other([&] {
        word.store_release(8);
        futex_wake_all(word);
    });
    EXPECT_EQ(futex_wait(word, 7, interrupt, Deadline::never()), Woken::look);
}

TEST_F(Futex, IsWokenByTheInterrupt) {
    std::jthread other([&] {
        interrupt.store_release(1);
        futex_wake_private(interrupt);
    });
    EXPECT_EQ(futex_wait(word, 7, interrupt, 10s), Woken::interrupted);
}

TEST_F(Futex, WakingNobodyIsHarmlessAndKeepsErrno) {
    errno = 77;
    futex_wake_private(interrupt);
    EXPECT_EQ(errno, 77);
    futex_wake_all(word);
}

TEST_F(Futex, ASignalHandlerInterruptsTheSleep) {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
    const auto sleeper = ::pthread_self();
    std::atomic<bool> done{false};
    std::jthread other([&] { // until it hits: the sleep may not have begun
        while (!done.load()) {
            ::pthread_kill(sleeper, SIGUSR1);
            std::this_thread::sleep_for(1ms);
        }
    });
    EXPECT_EQ(futex_wait(word, 7, interrupt, 10s), Woken::interrupted);
    done = true;
    other.join();
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(Futex, WakesAnotherProcessThatMappedItReadOnly) {
    void* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    auto* words = new (shared) Word64[2];
    words[0].store_release(7);
    const pid_t child = ::fork();
    ASSERT_NE(child, -1);
    if (child == 0) {
        ::mprotect(shared, 4096, PROT_READ);
        const auto woken = futex_wait(words[0], 7, interrupt, 10s);
        ::_exit(woken == Woken::look ? 0 : 1);
    }
    words[0].store_release(8);
    futex_wake_all(words[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ::munmap(shared, 4096);
}

} // namespace
} // namespace shmbus::base
