// The way to systemd for a daemon that may start nothing: the host's, which runs as user shmbus.
//
// shmbusd-activate.socket runs `shmbusd --activate` as root for each request. All that can be asked of it is which
// of the subscriptions that root's configuration names is to get its consumer. A request is "TOPIC/NAME\n"; the
// answer is the unit's state and what the problem was, a line each, perhaps empty.
#pragma once

#include "daemon/activation/consumer.hpp"

#include <functional>
#include <optional>
#include <string>

namespace shmbus::activation {

inline constexpr const char* helper_socket = "/run/shmbusd-activate.sock";

/// Whether there is one at this socket.
[[nodiscard]] bool is_helped(const std::string& socket) noexcept;

/// Asks it. Waits 10 s at most. Never throws.
[[nodiscard]] Outcome ask_helper(const std::string& socket, const Of& of) noexcept;

/// Answers the request that comes on descriptor `in`, on `out`. @returns the program's exit code
int answer(int in, int out, const std::function<Outcome(const Of&)>& start);

/// "TOPIC/NAME"; nothing if it is anything else.
[[nodiscard]] std::optional<Of> parse_of(std::string_view text);

} // namespace shmbus::activation
