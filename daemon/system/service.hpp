// The edge to whoever started the daemon: systemd, or a person at a terminal.
#pragma once

#include <cstddef>

namespace shmbus::system {

/// Clients can connect now: READY=1 to systemd, or one line "ready" on stderr.
void announce_ready();

/// Going away in order.
void announce_stopping();

/// How many descriptors this process may have. @throws Error(system)
[[nodiscard]] std::size_t descriptor_limit();

/// Lifts the soft limit of descriptors to the hard one: each session and topic takes some.
void raise_descriptor_limit();

} // namespace shmbus::system
