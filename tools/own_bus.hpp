// A bus of one's own, for verbs that measure or torment one: it can be killed, and its files looked at.
#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>

namespace shmbus::tools {

/// The program shmbusd: in $PATH, or where it is installed. @throws std::runtime_error
[[nodiscard]] std::string find_daemon();

/// A new directory; gone, with all that is in it, when this is.
class ScratchDirectory {
  public:
    /// "shmbus-VERB-…" in `parent`; where that is empty in $TMPDIR, else in /var/tmp.
    /// @throws std::runtime_error
    ScratchDirectory(const std::string& verb, const std::string& parent);
    ~ScratchDirectory();
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    /// It stays, for somebody to look at.
    void keep() noexcept { is_kept_ = true; }

  private:
    std::filesystem::path path_;
    bool is_kept_ = false;
};

/// The kind of file system that a directory is on, as mount(8) calls it.
[[nodiscard]] std::string file_system_of(const std::filesystem::path& directory);

class OwnBus {
  public:
    enum class Supervised : bool { no, yes };
    /// `program` with its state, and its log, in `directory`; it is ready when this has returned.
    /// @throws std::runtime_error
    OwnBus(std::string program, const std::filesystem::path& directory,
           Supervised supervised = Supervised::no);
    ~OwnBus() { kill(); }
    OwnBus(const OwnBus&) = delete;
    OwnBus& operator=(const OwnBus&) = delete;

    [[nodiscard]] const std::string& socket() const noexcept { return socket_; }
    [[nodiscard]] const std::filesystem::path& state() const noexcept { return state_; }
    [[nodiscard]] const std::filesystem::path& log() const noexcept { return log_; }
    /// What was started: the daemon, or the parent that keeps what the daemon shares with clients.
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// The daemon itself where it is supervised; 0 while there is none.
    [[nodiscard]] pid_t worker() const;

    /// Returns when it is dead, and what it was the parent of.
    void kill() noexcept;
    /// Ends it in good order; whether it did.
    bool stop() noexcept;
    /// @pre it is dead
    void start();

  private:
    [[noreturn]] void become_the_daemon(int log, pid_t parent) const;
    void await_ready(std::uintmax_t begin);

    std::string program_;
    std::string socket_;
    std::filesystem::path state_;
    std::filesystem::path log_;
    Supervised supervised_;
    pid_t pid_ = 0;
};

} // namespace shmbus::tools
