// Where a bus's socket is: one rule for the daemon and for its clients.
#pragma once

#include <string>

namespace shmbus::base {

enum class BusScope { automatic, user, system };

inline constexpr const char* system_socket = "/run/shmbus.sock";
/// The user bus's, in $XDG_RUNTIME_DIR.
[[nodiscard]] inline std::string user_socket_in(const std::string& runtime_directory) {
    return runtime_directory + "/shmbus.sock";
}

/// Automatic is the system bus for root, the user bus for others.
[[nodiscard]] bool is_system(BusScope scope) noexcept;
/// `given` if not empty; else $SHMBUS_SOCKET, which may be empty, too.
[[nodiscard]] std::string chosen_socket(const std::string& given);

/// `given` if not empty; else $SHMBUS_SOCKET; else $XDG_RUNTIME_DIR/shmbus.sock for the user bus,
/// /run/shmbus.sock for the system bus. @throws Error(bad_argument) when no rule gives a path that a socket can have, naming
/// what to set
[[nodiscard]] std::string find_socket_path(const std::string& given, BusScope scope);

/// @throws Error(bad_argument) when `path` is empty or longer than a socket's path can be
void check_socket_path(const std::string& path);

} // namespace shmbus::base
