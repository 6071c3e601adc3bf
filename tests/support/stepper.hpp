// Runs a process instruction by instruction (ptrace), between marks that it sets itself.
//
//     SHMBUS_WORKER(add) {               // the process
//         say("ready");
//         hear();
//         mark();
//         work();
//         mark();
//         return 0;
//     }
//
//     Stepper stepper(child.pid());      // the test; the child waits in hear()
//     child.say("go");
//     stepper.run_to_mark();
//     const Walk walk = stepper.step_to_mark([](const Instruction& next) { … return true; });
//
// To kill a process behind its n-th instruction: step until `next.number` is n, return false, kill().
//
// Only the main thread is stepped; other threads, such as the library's, run on as they like. All
// calls come from the thread that made the stepper. On x86-64 alone: elsewhere an exclusive load
// forgets its line at each stop, and a stepped loop around it never ends.
#pragma once

#include "shmbus/types.hpp"

#include <functional>
#include <sys/types.h>

namespace shmbus::test {

/// In the process: a place to run or step to. Without a stepper it is the process's end (SIGTRAP).
inline void mark() noexcept { asm volatile("int3" ::: "memory"); }

/// What is about to be executed.
struct Instruction {
    std::uint64_t number = 0; // how many were executed since the mark
    std::uint64_t address = 0;
    bool is_system_call = false;
};

/// How a walk ended: stopped at a mark, or before an instruction, or with the end of the process.
struct Walk {
    enum class End : std::uint8_t { mark, stopped, dead };
    End end = End::dead;
    std::uint64_t instructions = 0; // executed; the mark is not one
    bool operator==(const Walk&) const = default;
};

class Stepper {
  public:
    /// Takes hold of a child of this process; it goes on running. The process dies with the stepper's
    /// process. @throws std::system_error when the kernel refuses
    explicit Stepper(pid_t pid);
    /// Lets it run on by itself.
    ~Stepper();
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;

    /// Lets it run at full speed until it is at a mark.
    /// @throws std::runtime_error when it does not come to one
    void run_to_mark(Deadline deadline = patience);

    /// Called before each instruction; false: stop there. A string instruction that repeats counts
    /// once, however long it takes.
    using Look = std::function<bool(const Instruction& next)>;
    /// From where it stands, step by step, to the next mark, unless `look` stops it before.
    /// @throws std::runtime_error when the deadline passes
    Walk step_to_mark(const Look& look, Deadline deadline = patience);

    /// One instruction, or one turn of one that repeats, whatever it is: for who counts many of them and
    /// has other means to see where the process is. False: it is dead.
    bool step(Deadline deadline = patience);

    /// SIGKILL, which comes before the next instruction. Whoever started the process waits for its end.
    void kill() noexcept;

  private:
    static constexpr std::chrono::seconds patience{60};
    /// Waits until it stands again. False: it is dead.
    bool await_stop(Deadline deadline);
    void resume(int request);
    [[nodiscard]] std::uint64_t address() const;
    [[nodiscard]] std::uint64_t code_at(std::uint64_t address) const;

    pid_t pid_;
    bool stands_ = false;
    int stop_ = 0; // why it stands: a signal, or an event of ptrace
};

} // namespace shmbus::test
