// Whether a service manager lets go of a descriptor that comes with a message.
#pragma once

#include "base/fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <systemd/sd-daemon.h>

namespace shmbus::test {

/// Sends the message to $NOTIFY_SOCKET with one end of a pipe, which nobody else has then: the
/// other end tells when it is closed. @returns false when it is not, for a minute
inline bool is_closed_when_sent(const std::string& message) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    const base::Fd here(ends[0]);
    {
        const base::Fd there(ends[1]);
        const int fd = there.get();
        if (::sd_pid_notify_with_fds(0, 0, message.c_str(), &fd, 1) <= 0)
            throw std::runtime_error("the message was not sent");
    }
    pollfd state{.fd = here.get(), .events = 0, .revents = 0};
    return ::poll(&state, 1, 60'000) == 1;
}

} // namespace shmbus::test
