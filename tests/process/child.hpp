// A process that a test started: to talk to, to kill, to wait for.
#pragma once

#include "base/fd.hpp"
#include "process/worker.hpp"

#include <sys/types.h>

namespace shmbus::test {

class Child {
  public:
    /// Runs a worker of this program. Descriptors in `fds` become 3, 4, … there.
    static Child worker(std::string_view name, const std::vector<std::string>& args = {},
                        const std::vector<int>& fds = {});
    /// Runs any program, found in $PATH.
    static Child program(const std::vector<std::string>& argv, const std::vector<int>& fds = {});
    Child(Child&& other) noexcept = default;
    Child& operator=(Child&& other) noexcept;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    /// Kills it if it still runs.
    ~Child();

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// A line to its standard input. A child that is gone does not mind.
    void say(std::string_view line);
    /// The next line of its standard output. @throws std::runtime_error on its end, or without any
    std::string hear(Deadline deadline = patience);
    /// The same, split at spaces and read as numbers; the first word must be `word`.
    std::vector<std::uint64_t> hear_numbers(std::string_view word, Deadline deadline = patience);
    void kill(int signal) const;
    /// By a signal. @throws std::runtime_error when it does not
    void wait_until_stopped(Deadline deadline = patience) const;
    /// Whether it ended within the deadline; it is no zombie then.
    bool ended(Deadline deadline);
    /// Waits for its end: its exit code, or minus the signal that killed it.
    /// @throws std::runtime_error when it does not end
    int wait(Deadline deadline = patience);

  private:
    Child(pid_t pid, base::Fd pidfd, base::Fd in, base::Fd out);
    pid_t pid_ = 0;
    bool running_ = false;
    int status_ = 0;
    base::Fd pidfd_;
    base::Fd in_;
    base::Fd out_;
    std::string heard_;
};

} // namespace shmbus::test
