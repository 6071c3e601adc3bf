#include "tools/exec.hpp"

#include "tools/failure.hpp"
#include "tools/interrupt.hpp"
#include "tools/output.hpp"
#include "tools/spawn.hpp"
#include "tools/units.hpp"

#include <cctype>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::tools {

using namespace std::chrono_literals;

namespace {

[[noreturn]] void fail(const char* what, int error) {
    throw Failure(ExitCode::failed, fmt::format("{}: {}", what, std::strerror(error)));
}

// A file in memory and no pipe: the command may read all of it, some, or nothing.
int file_of(std::string_view payload) {
    const int fd = ::memfd_create("shmbus-payload", MFD_CLOEXEC);
    if (fd < 0) fail("memory for a payload", errno);
    while (!payload.empty()) {
        const ssize_t written = ::write(fd, payload.data(), payload.size());
        if (written < 0 && errno != EINTR) {
            const int error = errno;
            ::close(fd);
            fail("memory for a payload", error);
        }
        if (written > 0) payload.remove_prefix(static_cast<std::size_t>(written));
    }
    return fd;
}

// SHMBUS_HEADER_ and the name in capitals, with _ for whatever a variable's name cannot hold.
std::string header_variable(std::string_view name) {
    std::string variable = "SHMBUS_HEADER_";
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        variable += std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
    }
    return variable;
}

std::vector<std::string> variables_of(const Record& record) {
    std::vector<std::string> variables;
    const auto set = [&](std::string_view name, std::string_view value) {
        // A NUL would end the value unseen; no variable is better than half of one.
        if (value.find('\0') == std::string_view::npos)
            variables.push_back(fmt::format("{}={}", name, value));
    };
    set("SHMBUS_TOPIC", record.topic);
    set("SHMBUS_SEQ", fmt::to_string(record.sequence));
    set("SHMBUS_TIME", format_time(record.time));
    set("SHMBUS_TYPE", fmt::to_string(record.type));
    set("SHMBUS_PUBLISHER", fmt::to_string(record.publisher));
    if (record.attempt) set("SHMBUS_ATTEMPT", fmt::to_string(*record.attempt));
    set("SHMBUS_KEY", record.key);
    set("SHMBUS_CORRELATION", record.correlation.empty() ? "" : record.correlation.to_string());
    set("SHMBUS_CAUSE", record.cause
                            ? fmt::format("{}:{}", record.cause->topic, record.cause->sequence)
                            : std::string());
    for (const Header& header : record.headers) set(header_variable(header.name), header.value);
    return variables;
}

// Our own environment with the event's variables in place of all that begin with SHMBUS_.
std::vector<std::string> environment_with(const std::vector<std::string>& variables,
                                          const std::string& socket) {
    std::vector<std::string> environment = variables;
    environment.push_back("SHMBUS_SOCKET=" + socket);
    for (std::string& variable : own_environment())
        if (!variable.starts_with("SHMBUS_")) environment.push_back(std::move(variable));
    return environment;
}

pid_t run_shell(int stdin_fd, const std::string& command, std::vector<std::string> environment) {
    Spawn spawn;
    spawn.give(stdin_fd, STDIN_FILENO);
    return spawn.run({"/bin/sh", "-c", command}, std::move(environment));
}

/// Returns when it has ended, or when its end can't be waited for so.
void wait_for_end(pid_t pid, const Command::Progress& progress) {
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) return;
    pollfd ends{.fd = pidfd, .events = POLLIN, .revents = 0};
    while (::poll(&ends, 1, static_cast<int>(progress.interval.count())) <= 0)
        progress.still_at_it();
    ::close(pidfd);
}

/// @throws Interrupted
void rest_for(std::chrono::milliseconds pause, const Command::Progress& progress) {
    const auto end = std::chrono::steady_clock::now() + pause;
    if (progress.still_at_it)
        for (auto next = end - pause; (next += progress.interval) < end; progress.still_at_it())
            sleep_until(next);
    sleep_until(end);
}

} // namespace

Job::Job(const Record& record)
    : name_(fmt::format("event {} of topic '{}'", record.sequence, record.topic)),
      variables_(variables_of(record)), payload_(file_of(record.payload)) {}

Job::~Job() { ::close(payload_); }

int Job::rewound_payload() const noexcept {
    ::lseek(payload_, 0, SEEK_SET);
    return payload_;
}

Command::Command(std::string shell, std::string socket, unsigned retries)
    : shell_(std::move(shell)), socket_(std::move(socket)), retries_(retries) {}

void Command::run(const Job& job, const Progress& progress) const {
    std::chrono::milliseconds pause = 100ms;
    for (unsigned retries_left = retries_;; --retries_left, pause = std::min(2 * pause, 10'000ms)) {
        const std::string failure = failure_of_one_try(job, progress);
        if (failure.empty()) return;
        // Ctrl-C reaches the command as well: its failure is then no failure of the event.
        if (interrupted()) throw Interrupted();
        if (retries_left == 0)
            throw Failure(ExitCode::failed,
                          fmt::format("{}: the command {}; not acknowledged", job.name(), failure));
        note(fmt::format("{}: the command {}; again in {}", job.name(), failure,
                         format_duration(pause)));
        rest_for(pause, progress);
    }
}

// Empty if the command exited 0; otherwise what it did instead.
std::string Command::failure_of_one_try(const Job& job, const Progress& progress) const {
    const pid_t pid =
        run_shell(job.rewound_payload(), shell_, environment_with(job.variables(), socket_));
    if (progress.still_at_it) wait_for_end(pid, progress);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) fail("waiting for the command", errno);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    if (WIFEXITED(status)) return fmt::format("exited with {}", WEXITSTATUS(status));
    return fmt::format("was killed by signal {}", WTERMSIG(status));
}

} // namespace shmbus::tools
