// A daemon of its own for a test: a real shmbusd at a socket in a temporary directory.
//
//     DaemonProcess daemon;
//     Bus bus({.socket = daemon.socket()});
//
// Its log is read all the time, so that it never blocks, and can be waited for line by line: that
// is how a test knows that the daemon has seen a death. It dies with the test, whatever becomes of
// it.
#pragma once

#include "base/fd.hpp"
#include "shmbus/types.hpp"
#include "support/temporary_directory.hpp"

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace shmbus::test {

/// A running (or ended) shmbusd with any arguments.
class Shmbusd {
  public:
    explicit Shmbusd(const std::vector<std::string>& arguments);
    /// Kills it if it still runs.
    ~Shmbusd();
    Shmbusd(const Shmbusd&) = delete;
    Shmbusd& operator=(const Shmbusd&) = delete;

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    void kill(int signal) const;
    /// Its exit code, or minus the signal that killed it. @throws std::runtime_error in vain
    int wait(Deadline deadline);
    [[nodiscard]] bool is_running();

    /// What it has written to stderr so far.
    [[nodiscard]] std::string log();
    /// Waits until the log has a line with `text`, at or behind the place where the last such call
    /// ended; that line. @throws std::runtime_error, with the log, when it does not come
    std::string wait_for_log(std::string_view text, Deadline deadline = std::chrono::seconds(30));

  private:
    void read_log();
    pid_t pid_ = -1;
    bool ended_ = false;
    int status_ = 0;
    base::Fd pidfd_;
    base::Fd stderr_;
    std::mutex mutex_;
    std::condition_variable grown_;
    std::string log_;
    bool log_ended_ = false;
    std::size_t looked_at_ = 0;
    std::thread reader_;
};

/// One that serves: ready when the constructor returns.
class DaemonProcess {
  public:
    /// `extra`: arguments beside --socket.
    explicit DaemonProcess(std::vector<std::string> extra = {});

    [[nodiscard]] const std::string& socket() const noexcept { return socket_; }
    [[nodiscard]] const std::filesystem::path& directory() const noexcept {
        return directory_.path();
    }
    [[nodiscard]] pid_t pid() const noexcept { return daemon_->pid(); }
    [[nodiscard]] Shmbusd& process() noexcept { return *daemon_; }
    void kill(int signal) { daemon_->kill(signal); }
    int wait(Deadline deadline = std::chrono::seconds(30)) { return daemon_->wait(deadline); }
    /// The same again at the same socket, after it ended.
    void restart();

  private:
    TemporaryDirectory directory_;
    std::string socket_;
    std::vector<std::string> arguments_;
    std::unique_ptr<Shmbusd> daemon_;
};

} // namespace shmbus::test
