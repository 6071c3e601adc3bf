// System calls of running processes, as strace sees them.
#pragma once

#include "process/child.hpp"

#include <filesystem>

namespace shmbus::test {

struct SystemCall {
    pid_t thread = 0;
    std::uint64_t time_ns = 0; // CLOCK_REALTIME at its entry, or where it came back from sleep
    std::string text;
};

class Strace {
  public:
    /// Attaches to all threads of these processes, which sleep, and go back to sleep after that.
    /// @throws std::runtime_error when it cannot
    explicit Strace(const std::vector<pid_t>& processes);
    ~Strace();
    Strace(const Strace&) = delete;
    Strace& operator=(const Strace&) = delete;

    /// Detaches. What was called, or returned, between the two times (ns of CLOCK_REALTIME).
    std::vector<SystemCall> stop(std::uint64_t from, std::uint64_t to);

  private:
    std::filesystem::path log_;
    Child strace_;
};

/// "epoll_wait(…); futex(…)": for messages.
[[nodiscard]] std::string to_string(const std::vector<SystemCall>& calls);

/// Whether a thread of the process sleeps in futex_waitv: how the library waits.
[[nodiscard]] bool is_parked(pid_t pid);
/// Waits until it is. @throws std::runtime_error when it does not come to it
void wait_until_parked(pid_t pid);

} // namespace shmbus::test
