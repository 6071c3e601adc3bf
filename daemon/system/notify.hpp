// What is said to whoever started the daemon: sd_notify(3), but that it never waits for a listener that has
// stopped. systemd does not; the parent of shmbusd --supervise may be stopped like anybody else.
#pragma once

#include "base/fd.hpp"

#include <string>

namespace shmbus::system {

/// Whether there is somebody: $NOTIFY_SOCKET.
[[nodiscard]] bool is_heard();

/// Says it, with a copy of the descriptor if there is one. What cannot be said now is said before anything else
/// is, later; but not that all was well (WATCHDOG=1), or what the status was (STATUS=) before a newer one. What
/// cannot be said at all is logged. Thread safe. @returns whether there is somebody
bool notify(const std::string& state, const base::Fd* fd = nullptr);

} // namespace shmbus::system
