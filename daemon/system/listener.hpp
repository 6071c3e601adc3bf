// The daemon's listening socket at its path, and the lock that makes it the only daemon there.
//
// A socket file tells nothing about whether somebody listens: a daemon that was killed leaves it
// behind. So a daemon holds a lock on PATH.lock as long as it lives (the kernel drops it with the
// process); who has the lock may replace the socket file, and nobody else touches it. Anything at
// the path that is no socket is left alone.
#pragma once

#include "base/fd.hpp"

#include <string>
#include <sys/types.h>

namespace shmbus::system {

/// Held by at most one process; the file is removed with it.
class PathLock {
  public:
    /// @throws Error: busy when another process holds it, bad_argument, permission, system
    explicit PathLock(const std::string& path);
    ~PathLock();
    PathLock(const PathLock&) = delete;
    PathLock& operator=(const PathLock&) = delete;

  private:
    std::string file_;
    base::Fd fd_;
};

class Listener {
  public:
    /// Binds and listens; the file gets exactly `mode`, whatever the umask is. Unless the daemon before was
    /// killed and left its socket, which is listened at already: then who connected meanwhile is served.
    /// @throws Error: busy when somebody else listens there, bad_argument, permission, system
    Listener(std::string path, mode_t mode, base::Fd left = {});
    /// Removes the socket file if it is still the one made here.
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    [[nodiscard]] const base::Fd& fd() const noexcept { return socket_; }

  private:
    std::string path_;
    void bind(mode_t mode);
    PathLock lock_;
    base::Fd socket_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

} // namespace shmbus::system
