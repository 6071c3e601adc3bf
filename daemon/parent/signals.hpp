// Signals of a process that waits for them in poll(), and starts others, which are to get what it got.
#pragma once

#include "base/fd.hpp"

#include <csignal>
#include <vector>

namespace shmbus::parent {

class Signals {
  public:
    /// Takes these from now on, and SIGCHLD. A log that nobody reads (SIGPIPE) is no reason to die.
    /// @throws Error(limit), Error(system)
    explicit Signals(const std::vector<int>& taken);

    /// Readable while a signal waits.
    [[nodiscard]] const base::Fd& fd() const noexcept { return fd_; }
    /// The number of one that waits; 0: none.
    int take();
    /// In a process that is about to become another program: as they were.
    void restore() const;

  private:
    sigset_t mask_before_{};
    struct sigaction child_before_ {};
    base::Fd fd_;
};

} // namespace shmbus::parent
