#include "crash/tracer.hpp"

#include "process/worker.hpp"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <system_error>

namespace shmbus::test {

namespace {

constexpr int at_system_call = SIGTRAP | 0x80;

[[noreturn]] void throw_errno(const char* doing) {
    throw std::system_error(errno, std::generic_category(), doing);
}

/// A stop at a system call is one before it or one behind it.
bool is_behind(pid_t tid) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0)
        throw_errno("PTRACE_GET_SYSCALL_INFO");
    return info.op == PTRACE_SYSCALL_INFO_EXIT;
}

/// A trap is an int3, or the end of a step.
bool is_mark(pid_t tid) {
    siginfo_t info{};
    if (::ptrace(PTRACE_GETSIGINFO, tid, nullptr, &info) != 0) throw_errno("PTRACE_GETSIGINFO");
    return info.si_code == SI_KERNEL;
}

} // namespace

Tracer::Tracer(pid_t pid) : pid_(pid) {
    const auto tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks))
        seize(std::stoi(task.path().filename()));
    for (auto& [tid, thread] : threads_)
        if (::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) throw_errno("PTRACE_INTERRUPT");
}

Tracer::~Tracer() {
    ::kill(pid_, SIGKILL);
    // Other threads than the main one are gone for good when their tracer has taken note of it.
    for (const auto& [tid, thread] : threads_)
        if (tid != pid_) ::waitpid(tid, nullptr, __WALL);
}

void Tracer::seize(pid_t tid) {
    constexpr auto options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SEIZE, tid, nullptr, options) != 0) throw_errno("PTRACE_SEIZE");
    threads_.emplace(tid, Thread{});
}

void Tracer::resume(pid_t tid, Thread& thread) {
    const auto request = thread.steps ? PTRACE_SINGLESTEP : PTRACE_SYSCALL;
    if (::ptrace(request, tid, nullptr, thread.signal) != 0 && errno != ESRCH)
        throw_errno("ptrace");
    thread.stands = false;
    thread.signal = 0;
}

Tracer::Event Tracer::event_of(pid_t tid, Thread& thread, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (event == PTRACE_EVENT_CLONE) {
        unsigned long made = 0;
        if (::ptrace(PTRACE_GETEVENTMSG, tid, nullptr, &made) != 0) throw_errno("GETEVENTMSG");
        threads_.emplace(static_cast<pid_t>(made), Thread{});
    }
    if (event != 0) return Event::none;
    if (signal == at_system_call) return is_behind(tid) ? Event::system_call : Event::none;
    if (signal != SIGTRAP) {
        thread.signal = signal;
        return Event::none;
    }
    if (is_mark(tid)) return Event::mark;
    return thread.steps ? Event::step : Event::none;
}

/// Lets all that stand go on, and waits for the next of them that has done something of interest.
Tracer::Event Tracer::await_event(pid_t& tid) {
    for (const Deadline deadline = patience;; ::sched_yield()) {
        if (deadline.passed()) throw std::runtime_error("the process does not come to its mark");
        for (auto entry = threads_.begin(); entry != threads_.end();) {
            auto& [number, thread] = *entry;
            if (thread.stands) resume(number, thread);
            int status = 0;
            const pid_t found = ::waitpid(number, &status, WNOHANG | __WALL);
            if (found < 0 && errno != ECHILD) throw_errno("waitpid");
            if (found == number && !WIFSTOPPED(status)) {
                if (number == pid_) throw std::runtime_error("the process has ended");
                entry = threads_.erase(entry);
                continue;
            }
            if (found == number) {
                thread.stands = true;
                const Event event = event_of(number, thread, status);
                tid = number;
                if (event != Event::none) return event;
            }
            ++entry;
        }
    }
}

void Tracer::run_to_mark() {
    pid_t tid = 0;
    while (await_event(tid) != Event::mark) {
    }
    reached_ = {};
}

bool Tracer::run(const Place& place, const std::function<bool()>& look) {
    bool steps = place.system_calls == 0; // a thread goes instruction by instruction
    if (steps) threads_.at(pid_).steps = true;
    for (pid_t tid = 0;;) {
        switch (await_event(tid)) {
        case Event::mark: return false;
        case Event::none: break;
        case Event::system_call:
            if (steps || ++reached_.system_calls < place.system_calls) break;
            if (place.instructions == 0) return true;
            steps = threads_.at(tid).steps = true;
            break;
        case Event::step:
            ++reached_.instructions;
            if (reached_.instructions >= place.instructions || (look && !look())) return true;
            break;
        }
    }
}

} // namespace shmbus::test
