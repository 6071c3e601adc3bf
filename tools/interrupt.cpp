#include "tools/interrupt.hpp"

#include "tools/failure.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace shmbus::tools {

namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> signalled = false;
std::atomic<OnInterrupt*> registered = nullptr;
int signal_fd = -1;

static_assert(std::atomic<bool>::is_always_lock_free &&
              std::atomic<OnInterrupt*>::is_always_lock_free);

void on_signal(int) {
    const int saved = errno;
    if (signalled.exchange(true) || registered == nullptr)
        ::_exit(static_cast<int>(ExitCode::interrupted));
    ::eventfd_write(signal_fd, 1);
    registered.load()->wake_all();
    errno = saved;
}

sigset_t interrupt_signals() noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGINT);
    ::sigaddset(&set, SIGTERM);
    return set;
}

void change_mask(int how) noexcept {
    const sigset_t set = interrupt_signals();
    ::pthread_sigmask(how, &set, nullptr);
}

} // namespace

void handle_interrupts() {
    signal_fd = ::eventfd(0, EFD_CLOEXEC);
    if (signal_fd < 0) throw Failure(ExitCode::failed, "eventfd: out of descriptors or memory");
    struct sigaction action {};
    action.sa_handler = on_signal; // no SA_RESTART: a write that blocks is to return
    action.sa_mask = interrupt_signals();
    // Also where a shell had them ignored, for a job in the background: kill -INT is meant then.
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() noexcept { return signalled.load(std::memory_order_relaxed); }

void block_interrupts() noexcept { change_mask(SIG_BLOCK); }
void unblock_interrupts() noexcept { change_mask(SIG_UNBLOCK); }

void wait_readable(int fd) {
    pollfd fds[] = {{.fd = signal_fd, .events = POLLIN, .revents = 0},
                    {.fd = fd, .events = POLLIN, .revents = 0}};
    while (true) {
        if (interrupted()) throw Interrupted();
        // A poll that fails for another reason leaves the error to the read that follows.
        if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
        if (interrupted()) throw Interrupted();
        if (fds[1].revents != 0) return;
    }
}

void sleep_until(std::chrono::steady_clock::time_point when) {
    pollfd fds[] = {{.fd = signal_fd, .events = POLLIN, .revents = 0}};
    while (true) {
        if (interrupted()) throw Interrupted();
        const auto left = when - Clock::now();
        if (left <= Clock::duration::zero()) return;
        const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
        const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
        ::ppoll(fds, 1, &timeout, nullptr);
    }
}

OnInterrupt::OnInterrupt(void* object, Wake wake)
    : object_(object), wake_(wake), next_(registered) {
    registered = this;
}

OnInterrupt::~OnInterrupt() { registered = next_; }

void OnInterrupt::wake_all() noexcept {
    for (OnInterrupt* it = this; it != nullptr; it = it->next_) it->wake_(it->object_);
}

} // namespace shmbus::tools
