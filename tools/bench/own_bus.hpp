// A bus of the bench's own, on the disk that is measured: it can be killed, and its files looked at.
#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>

namespace shmbus::tools::bench {

/// The program shmbusd: in $PATH, or where it is installed. @throws std::runtime_error
[[nodiscard]] std::string find_daemon();

/// A new directory; gone, with all that is in it, when this is.
class ScratchDirectory {
  public:
    /// In `parent`; where that is empty in $TMPDIR, else in /var/tmp. @throws std::runtime_error
    explicit ScratchDirectory(const std::string& parent);
    ~ScratchDirectory();
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
};

/// The kind of file system that a directory is on, as mount(8) calls it.
[[nodiscard]] std::string file_system_of(const std::filesystem::path& directory);

class OwnBus {
  public:
    /// `program` with its state in `directory`; it is ready when this has returned.
    /// @throws std::runtime_error
    OwnBus(std::string program, const std::filesystem::path& directory);
    ~OwnBus() { kill(); }
    OwnBus(const OwnBus&) = delete;
    OwnBus& operator=(const OwnBus&) = delete;

    [[nodiscard]] const std::string& socket() const noexcept { return socket_; }
    [[nodiscard]] const std::filesystem::path& state() const noexcept { return state_; }

    /// Returns when it is dead.
    void kill() noexcept;
    /// @pre it is dead
    void start();

  private:
    [[noreturn]] void become_the_daemon(int log, pid_t parent) const;
    void await_ready();

    std::string program_;
    std::string socket_;
    std::filesystem::path state_;
    pid_t pid_ = 0;
    int log_ = -1;
};

} // namespace shmbus::tools::bench
