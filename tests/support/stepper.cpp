#include "support/stepper.hpp"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>

namespace shmbus::test {

namespace {

constexpr std::uint64_t mark_code = 0xcc; // int3

bool is_mark(std::uint64_t code) noexcept { return (code & 0xffU) == mark_code; }

bool is_system_call(std::uint64_t code) noexcept {
    const std::uint64_t opcode = code & 0xffffU;                     // the first byte is the lowest
    return opcode == 0x050f || opcode == 0x340f || opcode == 0x80cd; // syscall, sysenter, int 0x80
}

[[noreturn]] void throw_errno(const char* doing) {
    throw std::system_error(errno, std::generic_category(), doing);
}

} // namespace

Stepper::Stepper(pid_t pid) : pid_(pid) {
    if (::ptrace(PTRACE_SEIZE, pid_, nullptr, PTRACE_O_EXITKILL) != 0) throw_errno("PTRACE_SEIZE");
}

Stepper::~Stepper() {
    // A process that runs has to stop first; one that is gone does not mind.
    if (!stands_ && ::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) != 0) return;
    try {
        if (stands_ || await_stop(patience)) resume(PTRACE_DETACH);
    } catch (const std::exception&) {
        kill(); // rather than leave it standing for ever
    }
}

/// A look takes nothing: an end is left for whoever started the process, and a stop is over when the
/// process is resumed.
bool Stepper::await_stop(Deadline deadline) {
    for (;;) {
        siginfo_t info{};
        if (::waitid(P_PID, static_cast<id_t>(pid_), &info,
                     WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) != 0)
            throw_errno("waitid");
        if (info.si_pid == pid_) {
            stands_ = info.si_code == CLD_TRAPPED;
            stop_ = info.si_status;
            return stands_;
        }
        if (deadline.passed()) throw std::runtime_error("the process does not stop");
        std::this_thread::yield(); // a step takes less than going to sleep would
    }
}

void Stepper::resume(int request) {
    if (!stands_) return;                                     // it runs since it was seized
    const bool is_signal = stop_ < 0x100 && stop_ != SIGTRAP; // which it gets now
    if (::ptrace(static_cast<__ptrace_request>(request), pid_, nullptr, is_signal ? stop_ : 0) !=
            0 &&
        errno != ESRCH) // killed meanwhile, which the next wait tells
        throw_errno("ptrace");
    stands_ = false;
}

std::uint64_t Stepper::address() const {
    errno = 0;
    const long value =
        ::ptrace(PTRACE_PEEKUSER, pid_, offsetof(user, regs) + offsetof(user_regs_struct, rip), 0);
    if (errno != 0) throw_errno("PTRACE_PEEKUSER");
    return static_cast<std::uint64_t>(value);
}

std::uint64_t Stepper::code_at(std::uint64_t address) const {
    errno = 0;
    const long value = ::ptrace(PTRACE_PEEKTEXT, pid_, address, 0);
    if (errno != 0) throw_errno("PTRACE_PEEKTEXT");
    return static_cast<std::uint64_t>(value);
}

void Stepper::run_to_mark(Deadline deadline) {
    do {
        resume(PTRACE_CONT);
        if (!await_stop(deadline)) throw std::runtime_error("the process ended before its mark");
    } while (stop_ != SIGTRAP || !is_mark(code_at(address() - 1)));
}

Walk Stepper::step_to_mark(const Look& look, Deadline deadline) {
    Walk walk;
    std::uint64_t before = 0; // where a string instruction repeats, the same address comes again
    for (;;) {
        const std::uint64_t at = address();
        const std::uint64_t code = code_at(at);
        if (at != before && !is_mark(code) &&
            !look({walk.instructions, at, is_system_call(code)})) {
            walk.end = Walk::End::stopped;
            return walk;
        }
        resume(PTRACE_SINGLESTEP);
        if (!await_stop(deadline)) return walk;
        if (stop_ != SIGTRAP)
            throw std::runtime_error("a signal instead of a step: " + std::to_string(stop_));
        if (is_mark(code)) {
            walk.end = Walk::End::mark;
            return walk;
        }
        if (at != before) ++walk.instructions;
        before = at;
    }
}

bool Stepper::step(Deadline deadline) {
    resume(PTRACE_SINGLESTEP);
    if (!await_stop(deadline)) return false;
    if (stop_ != SIGTRAP)
        throw std::runtime_error("a signal instead of a step: " + std::to_string(stop_));
    return true;
}

void Stepper::kill() noexcept {
    ::kill(pid_, SIGKILL);
    stands_ = false;
}

} // namespace shmbus::test
