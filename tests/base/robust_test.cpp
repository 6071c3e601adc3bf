// A thread that holds a robust futex ends, in all the ways there are.
#include "base/robust.hpp"

#include "base/futex.hpp"
#include "base/memfd.hpp"
#include "shmbus/error.hpp"

#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace shmbus::base {
namespace {

using namespace std::chrono_literals;

class Robust : public testing::Test {
  protected:
    [[nodiscard]] bool has_ended() const {
        return RobustWatch::has_ended(watch.word().load_acquire());
    }
    /// A child in which `body` runs, with the futex held by its main thread.
    void start(const std::function<void()>& body) {
        int pair[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        const Fd here(pair[0]);
        const Fd there(pair[1]);
        child = ::fork();
        ASSERT_NE(child, -1);
        char byte = 'x';
        if (child == 0) {
            const RobustHold hold(memory);
            (void)!::write(there.get(), &byte, 1);
            (void)!::read(there.get(), &byte, 1);
            body();
            ::_exit(0);
        }
        ASSERT_EQ(::read(here.get(), &byte, 1), 1);
        held = watch.word().load_acquire();
        EXPECT_FALSE(RobustWatch::has_ended(held));
        ASSERT_EQ(::write(here.get(), &byte, 1), 1);
    }
    [[nodiscard]] Woken sleep() const { return futex_wait(watch.word(), held, interrupt, 30s); }
    void reap() const {
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
    }

    const Fd memory = make_memfd("robust", robust_bytes, robust_bytes);
    const RobustWatch watch{memory};
    const Word32 interrupt{0};
    std::uint64_t held = 0;
    pid_t child = -1;
};

TEST_F(Robust, TellsOfAProcessThatWasKilled) {
    start([] { ::pause(); });
    std::jthread killer([this] { ::kill(child, SIGKILL); });
    EXPECT_EQ(sleep(), Woken::look);
    EXPECT_TRUE(has_ended());
    reap();
}

TEST_F(Robust, TellsOfAThreadThatEndedAloneWhoeverStillRuns) {
    start([] {
        std::thread([] { ::pause(); }).detach();
        (void)::syscall(SYS_exit, 0); // this thread alone; pthread_exit() would let go of it
    });
    (void)sleep();
    EXPECT_TRUE(has_ended());
    EXPECT_EQ(::kill(child, 0), 0) << "the process is there";
    ::kill(child, SIGKILL);
    reap();
}

TEST_F(Robust, TellsOfAnExec) {
    start([] { ::execl("/bin/sleep", "sleep", "60", nullptr); });
    (void)sleep();
    EXPECT_TRUE(has_ended());
    EXPECT_EQ(::kill(child, 0), 0) << "the process is there";
    ::kill(child, SIGKILL);
    reap();
}

TEST_F(Robust, SaysNothingOfOneThatIsStopped) {
    start([] { ::pause(); });
    ::kill(child, SIGSTOP);
    EXPECT_EQ(::waitpid(child, nullptr, WUNTRACED), child);
    EXPECT_EQ(futex_wait(watch.word(), held, interrupt, 20ms), Woken::timed_out);
    EXPECT_FALSE(has_ended());
    ::kill(child, SIGKILL);
    reap();
}

TEST_F(Robust, SaysNothingOfOneThatLetGo) {
    {
        const RobustHold hold(memory);
        EXPECT_NE(watch.word().load_acquire(), 0U);
    }
    EXPECT_FALSE(has_ended());
    std::thread([this] { const RobustHold again(memory); }).join();
    EXPECT_FALSE(has_ended());
}

TEST_F(Robust, AChildThatEndsIsNoneOfIt) {
    const RobustHold hold(memory);
    child = ::fork();
    ASSERT_NE(child, -1);
    if (child == 0) ::_exit(0);
    reap();
    EXPECT_FALSE(has_ended());
}

TEST(RobustMemory, IsCheckedBeforeItIsMapped) {
    EXPECT_THROW(RobustHold(make_memfd("small", 64, 64)), Error);
    EXPECT_THROW(RobustHold(Fd(::memfd_create("unsealed", MFD_CLOEXEC))), Error);
}

} // namespace
} // namespace shmbus::base
