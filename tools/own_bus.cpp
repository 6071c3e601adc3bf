#include "tools/own_bus.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace shmbus::tools {

namespace fs = std::filesystem;

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

void pause_briefly() { std::this_thread::sleep_for(std::chrono::microseconds(100)); }

/// Of one that is not this process's child.
void kill_and_await(pid_t pid) noexcept {
    const long pidfd = ::syscall(SYS_pidfd_open, pid, 0);
    pollfd end{.fd = static_cast<int>(pidfd), .events = POLLIN, .revents = 0};
    ::kill(pid, SIGKILL);
    while (end.fd >= 0 && ::poll(&end, 1, -1) < 0 && errno == EINTR) {
    }
    ::close(end.fd);
}

} // namespace

std::string find_daemon() {
    std::istringstream path(variable("PATH") + ":/usr/local/sbin:/usr/sbin");
    for (std::string directory; std::getline(path, directory, ':');) {
        std::string program = directory + "/shmbusd";
        if (!directory.empty() && ::access(program.c_str(), X_OK) == 0) return program;
    }
    throw std::runtime_error("this needs a bus of its own, and shmbusd is not in $PATH");
}

ScratchDirectory::ScratchDirectory(const std::string& verb, const std::string& parent) {
    std::string name = parent.empty() ? variable("TMPDIR") : parent;
    if (name.empty()) name = "/var/tmp"; // /tmp may be memory
    name += "/shmbus-" + verb + "-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
        throw std::runtime_error("making " + name + ": " + std::strerror(errno));
    path_ = fs::canonical(name);
}

ScratchDirectory::~ScratchDirectory() {
    if (is_kept_) return;
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

std::string file_system_of(const fs::path& directory) {
    std::ifstream mounts("/proc/self/mounts");
    std::string best = "unknown";
    std::size_t longest = 0;
    std::string line;
    while (std::getline(mounts, line)) {
        std::istringstream words(line);
        std::string device;
        std::string place;
        std::string kind;
        words >> device >> place >> kind;
        const std::string prefix = place == "/" ? place : place + '/';
        if (!(directory.string() + '/').starts_with(prefix) || prefix.size() < longest) continue;
        longest = prefix.size();
        best = kind;
    }
    return best;
}

OwnBus::OwnBus(std::string program, const fs::path& directory, Supervised supervised)
    : program_(std::move(program)), socket_(directory / "bus.sock"), state_(directory / "state"),
      log_(directory / "shmbusd.log"), supervised_(supervised) {
    ::unsetenv("NOTIFY_SOCKET"); // it would say there that it is ready
    start();
}

pid_t OwnBus::worker() const {
    const auto id = std::to_string(pid_);
    std::ifstream children("/proc/" + id + "/task/" + id + "/children");
    pid_t pid = 0;
    children >> pid;
    return pid;
}

void OwnBus::kill() noexcept {
    if (pid_ == 0) return;
    if (supervised_ == Supervised::yes) {
        ::kill(pid_, SIGSTOP); // or it would start another one
        ::waitpid(pid_, nullptr, WUNTRACED);
        if (const pid_t daemon = worker(); daemon != 0) kill_and_await(daemon);
    }
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
}

bool OwnBus::stop() noexcept {
    ::kill(pid_, SIGTERM);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return status == 0;
}

void OwnBus::start() {
    const int log = ::open(log_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log < 0) throw std::runtime_error("making " + log_.string() + ": " + std::strerror(errno));
    const auto begin = fs::file_size(log_);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) become_the_daemon(log, parent);
    ::close(log);
    if (pid_ < 0) {
        pid_ = 0;
        throw std::runtime_error("fork failed");
    }
    await_ready(begin);
}

void OwnBus::become_the_daemon(int log, pid_t parent) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1); // it died before that
    ::setpgid(0, 0);                       // what a terminal sends is not for it
    ::dup2(log, STDERR_FILENO);
    ::execl(program_.c_str(), "shmbusd", "--socket", socket_.c_str(), "--state-dir", state_.c_str(),
            supervised_ == Supervised::yes ? "--supervise" : nullptr, nullptr);
    ::_exit(1);
}

/// It says so in its log; and whatever keeps it from getting there.
void OwnBus::await_ready(std::uintmax_t begin) {
    for (;; pause_briefly()) {
        const bool has_ended = ::waitpid(pid_, nullptr, WNOHANG) == pid_;
        std::ifstream log(log_);
        log.seekg(static_cast<std::streamoff>(begin));
        const std::string said((std::istreambuf_iterator<char>(log)), {});
        if (("\n" + said).find("\nready\n") != std::string::npos) return;
        if (!has_ended) continue;
        pid_ = 0;
        throw std::runtime_error(program_ + " did not start: " + said);
    }
}

} // namespace shmbus::tools
