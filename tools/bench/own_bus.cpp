#include "tools/bench/own_bus.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::tools::bench {

namespace fs = std::filesystem;

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

} // namespace

std::string find_daemon() {
    std::istringstream path(variable("PATH") + ":/usr/local/sbin:/usr/sbin");
    for (std::string directory; std::getline(path, directory, ':');) {
        std::string program = directory + "/shmbusd";
        if (!directory.empty() && ::access(program.c_str(), X_OK) == 0) return program;
    }
    throw std::runtime_error("the disk is measured with a bus of its own: shmbusd is not in $PATH");
}

ScratchDirectory::ScratchDirectory(const std::string& parent) {
    std::string name = parent.empty() ? variable("TMPDIR") : parent;
    if (name.empty()) name = "/var/tmp"; // /tmp may be memory
    name += "/shmbus-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
        throw std::runtime_error("making " + name + ": " + std::strerror(errno));
    path_ = fs::canonical(name);
}

ScratchDirectory::~ScratchDirectory() {
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

OwnBus::OwnBus(std::string program, const fs::path& directory)
    : program_(std::move(program)), socket_(directory / "bus.sock"), state_(directory / "state") {
    ::unsetenv("NOTIFY_SOCKET"); // it would say there that it is ready
    start();
}

void OwnBus::kill() noexcept {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(log_);
    pid_ = 0;
}

void OwnBus::start() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) become_the_daemon(ends[1], parent);
    ::close(ends[1]);
    log_ = ends[0];
    if (pid_ < 0) throw std::runtime_error("fork failed");
    await_ready();
}

void OwnBus::become_the_daemon(int log, pid_t parent) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1); // it died before that
    ::dup2(log, STDERR_FILENO);
    ::execl(program_.c_str(), "shmbusd", "--socket", socket_.c_str(), "--state-dir", state_.c_str(),
            nullptr);
    ::_exit(1);
}

/// It says so on stderr; and whatever keeps it from getting there.
void OwnBus::await_ready() {
    std::string said;
    char c = 0;
    while (!said.ends_with("ready\n")) {
        const ssize_t count = ::read(log_, &c, 1);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) throw std::runtime_error(program_ + " did not start: " + said);
        said += c;
    }
}

} // namespace shmbus::tools::bench
