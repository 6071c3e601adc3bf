#include "tools/reader_watch.hpp"

#include "tools/failure.hpp"

#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace shmbus::tools {

namespace {

bool stdout_has_a_reader_to_lose() {
    struct stat status {};
    return ::fstat(STDOUT_FILENO, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

} // namespace

ReaderWatch::ReaderWatch(std::function<void()> left) : left_(std::move(left)) {
    if (!stdout_has_a_reader_to_lose()) return;
    stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
    if (stop_fd_ < 0) throw Failure(ExitCode::failed, "eventfd: out of descriptors or memory");
    try {
        start();
    } catch (...) {
        ::close(stop_fd_);
        throw;
    }
}

ReaderWatch::~ReaderWatch() {
    if (stop_fd_ < 0) return;
    ::eventfd_write(stop_fd_, 1);
    thread_.join();
    ::close(stop_fd_);
}

// Signals are the other threads' affair; a thread inherits the mask it starts with.
void ReaderWatch::start() {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    try {
        thread_ = std::thread([this] { wait(); });
    } catch (...) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ReaderWatch::wait() const noexcept {
    // Of stdout, only what poll() reports unasked: POLLERR of a pipe, POLLHUP of a socket.
    pollfd fds[] = {{.fd = STDOUT_FILENO, .events = 0, .revents = 0},
                    {.fd = stop_fd_, .events = POLLIN, .revents = 0}};
    while (::poll(fds, 2, -1) < 0)
        if (errno != EINTR) return; // the next write will tell
    if (fds[1].revents == 0) left_();
}

} // namespace shmbus::tools
