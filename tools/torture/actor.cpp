#include "tools/torture/actor.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::tools::torture {

namespace {

constexpr int channel_fd = 3;

/// Between fork() and exec(): nothing that a thread of before might hold a lock of.
[[noreturn]] void become_a_worker(int channel, const char* name, pid_t parent) noexcept {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1); // it died before that
    ::setpgid(0, 0);                       // what a terminal sends is not for it
    constexpr int behind = 10; // there are many of them, and one that checks what they do
    (void)::setpriority(PRIO_PROCESS, 0, behind);
    if (channel == channel_fd)
        ::fcntl(channel, F_SETFD, 0);
    else
        ::dup2(channel, channel_fd);
    ::execl("/proc/self/exe", "shmbus", "torture-worker", name, nullptr);
    ::_exit(1);
}

} // namespace

Actor::~Actor() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

void Actor::start(const Task& task) {
    channel_.emplace();
    channel_->task() = task;
    is_stopped_ = was_killed_ = false;
    const std::string name = fmt::format("{}/{}", task.topic.get(), part_.name);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become_a_worker(channel_->fd(), name.c_str(), parent);
    if (pid < 0) throw std::runtime_error(fmt::format("no process for {}: fork failed", name));
    pid_ = pid;
}

void Actor::kill() noexcept {
    was_killed_ = true;
    ::kill(pid_, SIGKILL);
}

void Actor::stop() noexcept {
    is_stopped_ = true;
    ::kill(pid_, SIGSTOP);
}

void Actor::go_on() noexcept {
    is_stopped_ = false;
    ::kill(pid_, SIGCONT);
}

std::optional<std::string> Actor::end() {
    int status = 0;
    if (pid_ == 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    pid_ = 0;
    is_stopped_ = false;
    if (status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && was_killed_))
        return "";
    if (WIFSIGNALED(status)) return fmt::format("signal {}", ::strsignal(WTERMSIG(status)));
    const auto trouble = channel_->shared().trouble.get();
    return trouble.empty() ? fmt::format("status {}", WEXITSTATUS(status)) : std::string(trouble);
}

} // namespace shmbus::tools::torture
