#include "support/daemon_process.hpp"

#include "base/pidfd.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace shmbus::test {

namespace {

[[noreturn]] void fail(const std::string& doing) {
    throw std::runtime_error(doing + ": " + std::strerror(errno));
}

/// The daemon of this build, unless $SHMBUSD names another.
std::string program() {
    const char* other = std::getenv("SHMBUSD");
    return other == nullptr ? SHMBUSD_PATH : other;
}

int poll_timeout(Deadline deadline) {
    if (deadline.is_never()) return -1;
    if (deadline.passed()) return 0;
    const auto left = deadline.when() - Deadline::Clock::now();
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

} // namespace

Shmbusd::Shmbusd(const std::vector<std::string>& arguments) {
    const std::string file = program();
    std::vector<char*> argv{const_cast<char*>(file.c_str())};
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) fail("pipe");
    stderr_ = base::Fd(pipe[0]);
    const base::Fd write_end(pipe[1]);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) { // only what a signal handler may do, as the parent has threads
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() == parent && ::dup2(write_end.get(), STDERR_FILENO) >= 0)
            ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    pidfd_ = base::open_pidfd(pid_); // a child that nobody has waited for keeps its number
    reader_ = std::thread([this] { read_log(); });
}

Shmbusd::~Shmbusd() {
    if (is_running()) {
        kill(SIGKILL);
        wait(Deadline::never());
    }
    reader_.join();
}

void Shmbusd::kill(int signal) const { ::kill(pid_, signal); }

bool Shmbusd::is_running() {
    if (ended_) return false;
    const pid_t rc = ::waitpid(pid_, &status_, WNOHANG);
    if (rc < 0) fail("waitpid");
    ended_ = rc == pid_;
    return !ended_;
}

int Shmbusd::wait(Deadline deadline) {
    pollfd end{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    while (is_running()) {
        if (deadline.passed()) throw std::runtime_error("shmbusd does not end; its log:\n" + log());
        ::poll(&end, 1, poll_timeout(deadline));
    }
    std::unique_lock lock(mutex_); // what it said last is part of its end
    grown_.wait(lock, [this] { return log_ended_; });
    return WIFSIGNALED(status_) ? -WTERMSIG(status_) : WEXITSTATUS(status_);
}

void Shmbusd::read_log() {
    for (;;) {
        char buffer[4096];
        const ssize_t size = ::read(stderr_.get(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        const std::lock_guard lock(mutex_);
        if (size > 0) log_.append(buffer, static_cast<std::size_t>(size));
        log_ended_ = size <= 0;
        grown_.notify_all();
        if (log_ended_) return;
    }
}

std::string Shmbusd::log() {
    const std::lock_guard lock(mutex_);
    return log_;
}

std::string Shmbusd::wait_for_log(std::string_view text, Deadline deadline) {
    std::unique_lock lock(mutex_);
    for (;;) {
        const auto found = log_.find(text, looked_at_);
        const auto end = found == std::string::npos ? found : log_.find('\n', found);
        if (end != std::string::npos) {
            const auto before = log_.rfind('\n', found);
            const auto begin = before == std::string::npos ? 0 : before + 1;
            looked_at_ = end + 1;
            return log_.substr(begin, end - begin);
        }
        if (log_ended_ || deadline.passed())
            throw std::runtime_error("the daemon's log has no more '" + std::string(text) +
                                     "'; it says:\n" + log_);
        grown_.wait_until(lock, deadline.when());
    }
}

DaemonProcess::DaemonProcess(std::vector<std::string> extra)
    : socket_((directory_.path() / "bus.sock").string()), arguments_{"--socket", socket_} {
    arguments_.insert(arguments_.end(), extra.begin(), extra.end());
    restart();
}

void DaemonProcess::restart() {
    daemon_ = std::make_unique<Shmbusd>(arguments_);
    daemon_->wait_for_log("ready");
}

} // namespace shmbus::test
