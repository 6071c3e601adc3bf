// What comes beside the bytes of a message on a Unix socket.
#pragma once

#include "base/fd.hpp"

#include <cstring>
#include <sys/socket.h>
#include <vector>

namespace shmbus::system {

inline constexpr std::size_t most_descriptors = 253; // of one message: the kernel's SCM_MAX_FD

/// The descriptors in one part of what was received, which are ours from now on; none in any other part.
inline void take_descriptors(const cmsghdr& part, std::vector<base::Fd>& to) {
    if (part.cmsg_level != SOL_SOCKET || part.cmsg_type != SCM_RIGHTS) return;
    for (std::size_t at = CMSG_LEN(0); at < part.cmsg_len; at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, reinterpret_cast<const char*>(&part) + at, sizeof fd);
        to.emplace_back(fd);
    }
}

} // namespace shmbus::system
