// What SIGHUP says: read the configuration again, or: the terminal is gone.
//
// Whoever sends it by kill(1) or systemctl reload means the former; a terminal that closes, or a shell that passes
// that on, means the latter. So it ends a daemon that was started from a terminal once that has hung up, and
// nobody else; nor one that was started with SIGHUP ignored, as nohup(1) does, which is to stay.
#pragma once

namespace shmbus::system {

class Hangup {
  public:
    /// At the start: whether there is a terminal, and SIGHUP was not ignored.
    Hangup();
    /// For one that just came.
    [[nodiscard]] bool is_end() const;

  private:
    bool ends_with_terminal_;
};

} // namespace shmbus::system
