// The daemon's listening socket at its path, and the lock that makes it the only daemon there.
//
// A socket file tells nothing about whether somebody listens: a daemon that was killed leaves it
// behind. So a daemon holds a lock on PATH.lock as long as it lives (the kernel drops it with the
// process); who has the lock may replace the socket file, and nobody else touches it. Anything at
// the path that is no socket is left alone.
//
// A socket that systemd made (socket activation) is systemd's: it sees to it that there is one daemon, and
// makes and removes the file. So there is no lock then, in a directory that may not be the daemon's to write.
#pragma once

#include "base/fd.hpp"

#include <optional>
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
    /// At what systemd made. @throws Error: bad_argument when that is bound elsewhere, system
    [[nodiscard]] static Listener activated(std::string path, base::Fd socket);
    /// Removes the socket file if it is still the one made here.
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    [[nodiscard]] const base::Fd& fd() const noexcept { return socket_; }
    /// systemd made it, and has it for the next daemon.
    [[nodiscard]] bool is_activated() const noexcept { return !lock_; }

  private:
    Listener(std::string path, base::Fd activated);
    void bind(mode_t mode);
    void listen() const;
    std::string path_;
    std::optional<PathLock> lock_; // nothing: neither the path nor the file is ours
    base::Fd socket_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

} // namespace shmbus::system
