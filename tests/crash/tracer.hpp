// Runs a process, all of its threads, from one system call to the next (ptrace), and kills it behind the
// k-th of them, or so many instructions further on.
//
//     SHMBUS_WORKER(attach) { … mark(); work(); mark(); … }
//
//     Tracer tracer(child.pid());        // the child waits in hear()
//     child.say("go");
//     tracer.run_to_mark();
//     const Place reached = tracer.run({.system_calls = 7, .instructions = 100});
//
// Where a thread sleeps in a system call the others run on, so a place is one of many that a run can pass
// through, and the next run may pass through another one.
#pragma once

#include "shmbus/types.hpp"

#include <functional>
#include <map>
#include <sys/types.h>

namespace shmbus::test {

/// How far a process has come: system calls that have returned, in any thread, and instructions of the
/// thread that the last of them returned to; of the main thread without any.
struct Place {
    std::uint64_t system_calls = 0;
    std::uint64_t instructions = 0;
    bool operator==(const Place&) const = default;
};

class Tracer {
  public:
    /// Takes hold of a child of this process, and of each thread that it has or makes.
    /// @throws std::system_error when the kernel refuses
    explicit Tracer(pid_t pid);
    /// Kills it; whoever started it waits for its end.
    ~Tracer();
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;

    /// Lets it run until its main thread is at a mark.
    void run_to_mark();
    /// From one mark towards the next, once: runs up to `place`; true if it is there, false if it came to
    /// the mark. Behind the last system call that is asked for it goes instruction by instruction, and
    /// stops already where `look`, called behind each, returns false.
    bool run(const Place& place, const std::function<bool()>& look = {});
    /// Where it is.
    [[nodiscard]] const Place& reached() const noexcept { return reached_; }

  private:
    struct Thread {
        bool stands = false;
        bool steps = false;
        int signal = 0; // which it gets when it goes on
    };
    enum class Event : std::uint8_t { none, system_call, step, mark };
    void seize(pid_t tid);
    void add_threads();
    void resume(pid_t tid, Thread& thread);
    Event await_event(pid_t& tid);
    Event event_of(pid_t tid, Thread& thread, int status);

    pid_t pid_;
    std::map<pid_t, Thread> threads_;
    Place reached_;
};

} // namespace shmbus::test
