#include "base/pidfd.hpp"

#include "base/system_error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace shmbus::base {

namespace {

constexpr int so_peerpidfd = 77; // SO_PEERPIDFD, Linux 6.5; not in Debian 12's headers

bool hung_up(const Fd& socket) {
    pollfd state{.fd = socket.get(), .events = POLLRDHUP, .revents = 0};
    return ::poll(&state, 1, 0) == 1;
}

} // namespace

Fd open_pidfd(pid_t pid) {
    Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); // close-on-exec by nature
    // EINVAL: a number that no process can have, or a thread's.
    if (!fd && errno != ESRCH && errno != EINVAL)
        throw_system("pidfd_open of process " + std::to_string(pid));
    return fd;
}

Fd pidfd_of_peer(const Fd& socket, pid_t pid) {
    int fd = -1;
    socklen_t size = sizeof fd;
    if (::getsockopt(socket.get(), SOL_SOCKET, so_peerpidfd, &fd, &size) == 0) return Fd(fd);
    if (errno == ESRCH) return {};
    if (errno != ENOPROTOOPT) throw_system("pidfd of a peer");
    // The number may have been given to another process since the peer connected: the pidfd is the
    // peer's if the peer is still there now.
    Fd by_number = open_pidfd(pid);
    return by_number && !hung_up(socket) ? std::move(by_number) : Fd();
}

pid_t pid_of(const Fd& pidfd) {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(pidfd.get()));
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("Pid:")) return std::max(0, std::atoi(line.c_str() + 4));
    return 0;
}

} // namespace shmbus::base
