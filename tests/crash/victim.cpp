#include "crash/victim.hpp"

#include "process/worker.hpp"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::test {

namespace {

[[noreturn]] void live(const Victim::Life& life, Told& told) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
        life(told);
        ::_exit(0);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "victim: %s\n", e.what());
        ::_exit(1);
    }
}

/// R, S, T, Z, …: see proc(5).
char state_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto name_ends = text.rfind(')'); // the name may contain anything
    return name_ends + 2 < text.size() ? text[name_ends + 2] : '?';
}

} // namespace

void Told::enter() noexcept {
    is_ready.store(1, std::memory_order_release);
    while (is_held.load(std::memory_order_acquire) == 0) ::sched_yield();
    mark();
}

Victim::Victim(const Life& life) : pid_(::fork()) {
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ == 0) live(life, told_[0]);
}

Victim::~Victim() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    reap();
}

void Victim::reap() noexcept {
    ::waitpid(pid_, nullptr, __WALL);
    pid_ = -1;
}

void Victim::enter() {
    stepper_.emplace(pid_);
    told_[0].is_held.store(1, std::memory_order_release);
    stepper_->run_to_mark();
}

std::uint64_t Victim::step(std::uint64_t most) {
    std::uint64_t steps = 0;
    for (; steps < most && !has_left(); ++steps)
        if (!stepper_->step()) throw std::runtime_error("the victim died by itself");
    return steps;
}

void Victim::kill() {
    ::kill(pid_, SIGKILL);
    stepper_.reset();
    reap();
}

void Victim::stop() {
    ::kill(pid_, SIGSTOP);
    stepper_.reset();
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT) != 0 ||
        info.si_code != CLD_STOPPED)
        throw std::runtime_error("the victim did not stop");
}

template <class Condition> void Victim::wait_until(Condition condition, const char* what) const {
    for (const Deadline deadline = patience;; ::sched_yield()) {
        const bool is_dead =
            state_of(pid_) == 'Z'; // asked first: it may meet the condition and end
        if (condition()) return;
        if (is_dead) throw std::runtime_error("the victim died by itself");
        if (deadline.passed()) throw std::runtime_error(std::string("the victim is not ") + what);
    }
}

void Victim::wait_until_ready() const {
    wait_until([&] { return told_[0].is_ready.load(std::memory_order_acquire) != 0; }, "ready");
}

void Victim::run_on() {
    ::kill(pid_, SIGCONT);
    wait_until([&] { return has_left(); }, "at its end");
}

void Victim::wait_until_asleep() const {
    wait_until([&] { return state_of(pid_) == 'S'; }, "asleep");
}

} // namespace shmbus::test
