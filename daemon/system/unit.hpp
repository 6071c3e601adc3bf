// What systemd calls a process.
#pragma once

#include <string>
#include <sys/types.h>

namespace shmbus::system {

/// The user unit that it is in, else the system unit; empty if neither, or if it is gone.
[[nodiscard]] std::string unit_of(pid_t pid);

} // namespace shmbus::system
