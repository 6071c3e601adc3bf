// The edge to whoever started the daemon: systemd, or a person at a terminal.
#pragma once

namespace shmbus::system {

/// Clients can connect now: READY=1 to systemd, or one line "ready" on stderr.
void announce_ready();

/// Going away in order.
void announce_stopping();

/// Lifts the soft limit of descriptors to the hard one: each session and topic takes some.
void raise_descriptor_limit();

} // namespace shmbus::system
