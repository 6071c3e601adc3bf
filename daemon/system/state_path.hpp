// Where a daemon keeps its topics on disk, when nobody says.
#pragma once

#include <string>

namespace shmbus::system {

/// `given` if not empty; else $STATE_DIRECTORY (systemd's StateDirectory=); else `configured` if not empty; else,
/// for the bus at
/// /run/shmbus.sock, /var/lib/shmbus; for the one in $XDG_RUNTIME_DIR, shmbus in $XDG_STATE_HOME or
/// ~/.local/state; for one at any other path, PATH.state beside its socket.
/// @throws Error(bad_argument) when none of these gives an absolute path, naming what to set
[[nodiscard]] std::string find_state_path(const std::string& given, const std::string& configured,
                                          const std::string& socket);

} // namespace shmbus::system
