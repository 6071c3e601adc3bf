// Proves that the stepper counts what it says, sees system calls, and kills where it is told to.
#include "process/child.hpp"
#include "process/shared_array.hpp"
#include "support/stepper.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace shmbus::test {

namespace {

// The marks of these workers are in the assembler, so that no compiler has a say in between.

constexpr unsigned increments = 8;

/// increment [3: counters]: one instruction for each of eight increments.
SHMBUS_WORKER(increment) {
    const auto counters = SharedCounters::inherited(3);
    auto* const at = reinterpret_cast<std::uint64_t*>(&counters[0]);
    say("ready");
    hear();
    asm volatile(
        "int3; incq %0; incq %0; incq %0; incq %0; incq %0; incq %0; incq %0; incq %0; int3"
        : "+m"(*at)
        :
        : "cc");
    say("done");
    return 0;
}

/// calls: a system call between three instructions that are none.
SHMBUS_WORKER(calls) {
    say("ready");
    hear();
    long result = SYS_getpid;
    asm volatile("int3; nop; nop; syscall; nop; int3" : "+a"(result) : : "rcx", "r11", "memory");
    return result == ::getpid() ? 0 : 1;
}

/// repeat: a string instruction of 100 turns.
SHMBUS_WORKER(repeat) {
    char bytes[100];
    void* to = bytes;
    std::uint64_t count = sizeof bytes;
    say("ready");
    hear();
    asm volatile("int3; rep stosb; nop; int3" : "+D"(to), "+c"(count) : "a"(0) : "memory");
    return count == 0 && to == bytes + sizeof bytes ? 0 : 1;
}

/// crash: an end that nobody asked for.
SHMBUS_WORKER(crash) {
    say("ready");
    hear();
    mark();
    asm volatile("nop; ud2");
    return 0;
}

/// A worker that waits for its mark, and the stepper that has hold of it.
struct Stepped {
    explicit Stepped(std::string_view worker, const std::vector<int>& fds = {})
        : child(Child::worker(worker, {}, fds)) {
        if (child.hear() != "ready") throw std::runtime_error("the worker is not ready");
        stepper.emplace(child.pid());
        child.say("go");
        stepper->run_to_mark();
    }
    Child child;
    std::optional<Stepper> stepper;
};

constexpr auto on = [](const Instruction&) { return true; };

TEST(Stepper, CountsEachInstruction) {
    const SharedCounters counters(1);
    Stepped stepped("increment", {counters.fd()});
    std::vector<std::uint64_t> numbers;
    const auto watch = [&](const Instruction& next) {
        EXPECT_EQ(counters[0], next.number) << "it is called before the instruction";
        numbers.push_back(next.number);
        return true;
    };
    EXPECT_EQ(stepped.stepper->step_to_mark(watch), (Walk{Walk::End::mark, increments}));
    EXPECT_EQ(numbers, (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
    stepped.stepper.reset();
    EXPECT_EQ(stepped.child.hear(), "done") << "it goes on without the stepper";
    EXPECT_EQ(stepped.child.wait(), 0);
}

TEST(Stepper, StopsWhereItIsTold) {
    const SharedCounters counters(1);
    Stepped stepped("increment", {counters.fd()});
    const auto until_five = [](const Instruction& next) { return next.number != 5; };
    EXPECT_EQ(stepped.stepper->step_to_mark(until_five), (Walk{Walk::End::stopped, 5}));
    EXPECT_EQ(counters[0], 5U);
    EXPECT_EQ(stepped.stepper->step_to_mark(on), (Walk{Walk::End::mark, increments - 5}));
    EXPECT_EQ(counters[0], increments);
}

TEST(Stepper, KillsBehindTheNthInstruction) {
    for (unsigned n = 0; n < increments; ++n) {
        const SharedCounters counters(1);
        Stepped stepped("increment", {counters.fd()});
        const auto until_n = [n](const Instruction& next) { return next.number != n; };
        EXPECT_EQ(stepped.stepper->step_to_mark(until_n), (Walk{Walk::End::stopped, n}));
        stepped.stepper->kill();
        EXPECT_EQ(stepped.child.wait(), -SIGKILL);
        EXPECT_EQ(counters[0], n);
    }
}

TEST(Stepper, StepsBlindlyAsFar) {
    const SharedCounters counters(1);
    Stepped stepped("increment", {counters.fd()});
    for (unsigned n = 1; n <= increments; ++n) {
        EXPECT_TRUE(stepped.stepper->step());
        EXPECT_EQ(counters[0], n);
    }
    stepped.stepper->kill();
    EXPECT_FALSE(stepped.stepper->step());
    EXPECT_EQ(stepped.child.wait(), -SIGKILL);
}

TEST(Stepper, SeesSystemCalls) {
    Stepped stepped("calls");
    std::vector<std::uint64_t> calls;
    const auto watch = [&](const Instruction& next) {
        if (next.is_system_call) calls.push_back(next.number);
        return true;
    };
    EXPECT_EQ(stepped.stepper->step_to_mark(watch), (Walk{Walk::End::mark, 4}));
    EXPECT_EQ(calls, std::vector<std::uint64_t>{2});
    stepped.stepper.reset();
    EXPECT_EQ(stepped.child.wait(), 0) << "it was made";
}

TEST(Stepper, CountsARepeatedInstructionOnce) {
    Stepped stepped("repeat");
    EXPECT_EQ(stepped.stepper->step_to_mark(on), (Walk{Walk::End::mark, 2}));
    stepped.stepper.reset();
    EXPECT_EQ(stepped.child.wait(), 0);
}

TEST(Stepper, SaysWhenItCannotStep) {
    Stepped stepped("crash");
    EXPECT_THROW((void)stepped.stepper->step_to_mark(on), std::runtime_error);
    EXPECT_THROW(Stepper{::getpid()}, std::system_error) << "nobody steps himself";
}

TEST(Stepper, SeesADeath) {
    const SharedCounters counters(1);
    Stepped stepped("increment", {counters.fd()});
    const auto kill = [&](const Instruction& next) {
        if (next.number == 3) stepped.child.kill(SIGKILL);
        return true;
    };
    EXPECT_EQ(stepped.stepper->step_to_mark(kill), (Walk{Walk::End::dead, 3}));
    EXPECT_EQ(stepped.child.wait(), -SIGKILL);
}

} // namespace

} // namespace shmbus::test
