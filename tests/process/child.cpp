#include "process/child.hpp"

#include "base/pidfd.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>
#include <system_error>
#include <utility>

extern char** environ;

namespace shmbus::test {

namespace {

[[noreturn]] void throw_errno(int error, const std::string& doing) {
    throw std::system_error(error, std::generic_category(), doing);
}

struct Pipe {
    base::Fd read;
    base::Fd write;
};

Pipe make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) throw_errno(errno, "pipe2");
    return {base::Fd(fds[0]), base::Fd(fds[1])};
}

class FileActions {
  public:
    FileActions() { ::posix_spawn_file_actions_init(&actions_); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;
    ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
    /// In the child `to` will be what `from` is here.
    void pass(int from, int to) {
        // Out of the way of the numbers that are still to be given.
        base::Fd copy(::fcntl(from, F_DUPFD_CLOEXEC, 100));
        if (!copy) throw_errno(errno, "fcntl(F_DUPFD_CLOEXEC)");
        if (const int error = ::posix_spawn_file_actions_adddup2(&actions_, copy.get(), to))
            throw_errno(error, "posix_spawn_file_actions_adddup2");
        copies_.push_back(std::move(copy));
    }
    [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

  private:
    posix_spawn_file_actions_t actions_{};
    std::vector<base::Fd> copies_;
};

/// Milliseconds for poll(), rounded up; -1: for ever.
int milliseconds_to(Deadline deadline) {
    if (deadline.is_never()) return -1;
    if (deadline.passed()) return 0;
    const auto left = deadline.when() - Deadline::Clock::now();
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

bool readable(const base::Fd& fd, Deadline deadline) {
    for (;;) {
        pollfd state{.fd = fd.get(), .events = POLLIN, .revents = 0};
        const int count = ::poll(&state, 1, milliseconds_to(deadline));
        if (count > 0) return true;
        if (count == 0 && deadline.passed()) return false;
        if (count < 0 && errno != EINTR) throw_errno(errno, "poll");
    }
}

} // namespace

Child::Child(pid_t pid, base::Fd pidfd, base::Fd in, base::Fd out)
    : pid_(pid), running_(true), pidfd_(std::move(pidfd)), in_(std::move(in)),
      out_(std::move(out)) {}

Child& Child::operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(running_, other.running_);
    std::swap(status_, other.status_);
    std::swap(pidfd_, other.pidfd_);
    std::swap(in_, other.in_);
    std::swap(out_, other.out_);
    std::swap(heard_, other.heard_);
    return *this;
}

Child::~Child() {
    if (!pidfd_ || !running_) return; // moved from, or over
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

Child Child::worker(std::string_view name, const std::vector<std::string>& args,
                    const std::vector<int>& fds) {
    std::vector<std::string> argv{"/proc/self/exe", "--worker", std::string(name)};
    argv.insert(argv.end(), args.begin(), args.end());
    return program(argv, fds);
}

Child Child::program(const std::vector<std::string>& argv, const std::vector<int>& fds) {
    auto to_child = make_pipe();
    auto from_child = make_pipe();
    FileActions actions;
    actions.pass(to_child.read.get(), 0);
    actions.pass(from_child.write.get(), 1);
    for (std::size_t i = 0; i < fds.size(); ++i) actions.pass(fds[i], static_cast<int>(3 + i));
    std::vector<char*> pointers;
    for (const auto& arg : argv) pointers.push_back(const_cast<char*>(arg.c_str()));
    pointers.push_back(nullptr);
    pid_t pid = 0;
    if (const int error =
            ::posix_spawnp(&pid, pointers[0], actions.get(), nullptr, pointers.data(), environ))
        throw_errno(error, "starting " + argv[0]);
    // Not waited for yet, so the number is still its own.
    return {pid, base::open_pidfd(pid), std::move(to_child.write), std::move(from_child.read)};
}

void Child::say(std::string_view line) {
    const std::string text = std::string(line) + '\n';
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t n = ::write(in_.get(), text.data() + done, text.size() - done);
        if (n < 0 && errno == EPIPE) return;
        if (n < 0) throw_errno(errno, "writing to a child");
        done += static_cast<std::size_t>(n);
    }
}

std::string Child::hear(Deadline deadline) {
    for (;;) {
        if (const auto end = heard_.find('\n'); end != std::string::npos) {
            std::string line = heard_.substr(0, end);
            heard_.erase(0, end + 1);
            return line;
        }
        if (!readable(out_, deadline)) throw std::runtime_error("a child said nothing in time");
        char buffer[65'536];
        const ssize_t n = ::read(out_.get(), buffer, sizeof buffer);
        if (n < 0 && errno != EINTR) throw_errno(errno, "reading from a child");
        if (n == 0) throw std::runtime_error("a child ended without the line that was expected");
        if (n > 0) heard_.append(buffer, static_cast<std::size_t>(n));
    }
}

std::vector<std::uint64_t> Child::hear_numbers(std::string_view word, Deadline deadline) {
    const std::string line = hear(deadline);
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (first != word) throw std::runtime_error("a child said '" + line + "'");
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t number = 0; words >> number;) numbers.push_back(number);
    return numbers;
}

void Child::kill(int signal) const {
    if (running_) ::kill(pid_, signal);
}

bool Child::ended(Deadline deadline) {
    if (!running_) return true;
    if (!readable(pidfd_, deadline)) return false;
    ::waitpid(pid_, &status_, 0);
    running_ = false;
    return true;
}

void Child::wait_until_stopped(Deadline deadline) const {
    for (siginfo_t info{}; info.si_pid != pid_; ::usleep(1'000)) {
        if (::waitid(P_PID, static_cast<id_t>(pid_), &info,
                     WSTOPPED | WEXITED | WNOHANG | WNOWAIT) != 0 ||
            (info.si_pid == pid_ && info.si_code != CLD_STOPPED) || deadline.passed())
            throw std::runtime_error("a child did not stop");
    }
}

int Child::wait(Deadline deadline) {
    if (!ended(deadline)) throw std::runtime_error("a child did not end in time");
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
}

} // namespace shmbus::test
