#include "tools/spawn.hpp"

#include "tools/failure.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ; // NOLINT(readability-redundant-declaration): not in every unistd.h

namespace shmbus::tools {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_output = 64U << 10U;

/// Whether there is something to read, or the end, before that time is over.
bool await(int fd, Clock::time_point until) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
        if (left.count() <= 0) return false;
        pollfd what{.fd = fd, .events = POLLIN, .revents = 0};
        if (const int rc = ::poll(&what, 1, static_cast<int>(left.count())); rc > 0) return true;
    }
}

/// Until its end. Nothing if that does not come in time, or too much.
std::optional<std::string> read_all(int fd, Clock::time_point until) {
    std::string text;
    while (await(fd, until)) {
        char piece[4096];
        const ssize_t size = ::read(fd, piece, sizeof piece);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 || text.size() + static_cast<std::size_t>(size) > most_output) break;
        if (size == 0) return text;
        text.append(piece, static_cast<std::size_t>(size));
    }
    return std::nullopt;
}

/// Whether the child ends with 0, in time; it has ended in any case.
bool ends_well(pid_t child, Clock::time_point until) {
    const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
    if (pidfd < 0 || !await(pidfd, until)) ::kill(child, SIGKILL);
    ::close(pidfd);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

} // namespace

Spawn::Spawn() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t set;
    ::sigemptyset(&set);
    ::posix_spawnattr_setsigmask(&attributes_, &set);
    for (const int signal : {SIGPIPE, SIGINT, SIGTERM}) ::sigaddset(&set, signal);
    ::posix_spawnattr_setsigdefault(&attributes_, &set);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

Spawn::~Spawn() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
}

void Spawn::give(int fd, int number) { ::posix_spawn_file_actions_adddup2(&actions_, fd, number); }

pid_t Spawn::run(std::vector<std::string> command, std::vector<std::string> environment) {
    const auto arguments = pointers_to(command);
    const auto variables = pointers_to(environment);
    pid_t pid = -1;
    const int error = ::posix_spawnp(&pid, command.front().c_str(), &actions_, &attributes_,
                                     arguments.data(), variables.data());
    if (error != 0)
        throw Failure(ExitCode::failed,
                      fmt::format("running {}: {}", command.front(), std::strerror(error)));
    return pid;
}

std::vector<std::string> own_environment() {
    std::vector<std::string> environment;
    for (char** it = environ; *it != nullptr; ++it) environment.emplace_back(*it);
    return environment;
}

std::optional<std::string> output_of(const std::vector<std::string>& command,
                                     std::chrono::milliseconds time) {
    const auto until = Clock::now() + time;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t child = -1;
    try {
        Spawn spawn;
        spawn.give(nowhere, STDIN_FILENO);
        spawn.give(ends[1], STDOUT_FILENO);
        spawn.give(nowhere, STDERR_FILENO);
        child = spawn.run(command, own_environment());
    } catch (const Failure&) { // there is no such program, as like as not
    }
    ::close(nowhere);
    ::close(ends[1]);
    auto output = child < 0 ? std::nullopt : read_all(ends[0], until);
    ::close(ends[0]);
    if (child >= 0 && !ends_well(child, output ? until : Clock::now())) output.reset();
    return output;
}

} // namespace shmbus::tools
