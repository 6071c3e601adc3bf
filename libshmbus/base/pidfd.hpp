// A descriptor of a process: becomes readable when the process is dead, and never means another
// process that got the same number.
#pragma once

#include "base/fd.hpp"

#include <sys/types.h>

namespace shmbus::base {

/// Of a process by its number; empty if there is none. Only as good as the number: the caller knows
/// that the process lives, or that its number cannot have been given to another.
/// @throws Error(limit), Error(system)
[[nodiscard]] Fd open_pidfd(pid_t pid);

/// Of the process at the other end of a Unix socket, `pid` as SO_PEERCRED has it; empty if it is
/// gone. @throws Error(limit), Error(system)
[[nodiscard]] Fd pidfd_of_peer(const Fd& socket, pid_t pid);

/// Whose it is, as seen from here; 0 when that process has ended.
[[nodiscard]] pid_t pid_of(const Fd& pidfd);

} // namespace shmbus::base
