// The edge to whoever started the daemon: systemd, or a person at a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace shmbus::system {

/// Clients can connect now: READY=1 to systemd, or one line "ready" on stderr.
void announce_ready();

/// The configuration is read again: RELOADING=1 to systemd, which waits for announce_reloaded().
void announce_reloading();
void announce_reloaded();

/// Going away in order.
void announce_stopping();

/// Not hanging: WATCHDOG=1.
void announce_well();

/// How long whoever started this process waits for that before it kills it; nothing: for ever.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_time();

/// What systemctl status shows; one line.
void announce_status(std::string_view line);

/// How many descriptors this process may have. @throws Error(system)
[[nodiscard]] std::size_t descriptor_limit();

/// Lifts the soft limit of descriptors to the hard one: each session and topic takes some.
void raise_descriptor_limit();

} // namespace shmbus::system
