#include "daemon/system/hangup.hpp"

#include "base/fd.hpp"

#include <csignal>
#include <fcntl.h>

namespace shmbus::system {

namespace {

/// When a terminal hangs up the kernel takes it away from all processes that have it, before the first of them
/// gets SIGHUP.
bool has_terminal() {
    return bool(base::Fd(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)));
}

bool is_ignored() {
    struct sigaction hangup {};
    ::sigaction(SIGHUP, nullptr, &hangup);
    return hangup.sa_handler == SIG_IGN;
}

} // namespace

Hangup::Hangup() : ends_with_terminal_(!is_ignored() && has_terminal()) {}

bool Hangup::is_end() const { return ends_with_terminal_ && !has_terminal(); }

} // namespace shmbus::system
