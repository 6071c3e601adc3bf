#include "daemon/parent/signals.hpp"

#include "base/system_error.hpp"

#include <sys/signalfd.h>

namespace shmbus::parent {

Signals::Signals(const std::vector<int>& taken) {
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &by_default, &child_before_); // ignored, it would take the status away
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : taken) ::sigaddset(&set, signal);
    ::sigaddset(&set, SIGCHLD);
    fd_ = base::Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_) base::throw_system("making a descriptor for signals");
    ::sigaddset(&set, SIGPIPE);
    ::sigprocmask(SIG_BLOCK, &set, &mask_before_);
}

int Signals::take() {
    signalfd_siginfo info{};
    return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                                : 0;
}

void Signals::restore() const {
    ::sigaction(SIGCHLD, &child_before_, nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

} // namespace shmbus::parent
