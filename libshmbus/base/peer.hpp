// Who is at the other end of a Unix socket, as the kernel noted it when the peer connected.
//
// Nothing here comes from a message: SO_PEERCRED and SO_PEERGROUPS hold what was true of the
// process that called connect(), and cannot be forged by it. What it says of itself since (setuid,
// new groups) does not count.
#pragma once

#include "base/fd.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

namespace shmbus::base {

struct Peer {
    pid_t pid = 0; // 0: it is in a process namespace that cannot be seen from here
    uid_t uid = 0;
    std::vector<gid_t> groups = {}; // the primary group first
};

/// @throws Error(system) when `socket` is no connected Unix socket
[[nodiscard]] Peer peer_of(const Fd& socket);

/// Whose a process is, as /proc has it: root's, if it does not want to be looked at; 0, too, if it is gone.
[[nodiscard]] uid_t user_of(pid_t pid);

/// Not dead, nor dying; it may be stopped.
[[nodiscard]] bool is_running(pid_t pid);

/// The name of a process's program as /proc has it, printable, at most 15 bytes; "?" if it is gone.
/// For people: any process may call itself anything.
[[nodiscard]] std::string command_of(pid_t pid);

} // namespace shmbus::base
