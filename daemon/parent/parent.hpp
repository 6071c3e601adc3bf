// The parent of a worker: what systemd is to a service, where there is no systemd. It speaks the
// same contract, so the worker knows one way to be restarted, not two.
//
//     worker ── READY=1, STOPPING=1, WATCHDOG=1, FDSTORE=1, … ──▶ parent ($NOTIFY_SOCKET, sd_notify(3))
//     worker ◀── what was stored, as descriptors 3, 4, … ── parent ($LISTEN_FDS, sd_listen_fds(3))
//     worker ◀── SIGTERM, SIGINT, SIGHUP ── parent              (SIGHUP: the worker reloads, and stays)
//
// A worker that dies is started again, with the descriptors that were stored: at once if it had been
// ready, else after 50 ms, and twice as long each time, up to 2 s. The parent ends with the worker's
// status, and does not start another, when the worker
//   * ends with status 0,
//   * ends after a signal that the parent passed on (128 + N when a signal N killed it), or
//   * is the first one and fails before it is ready: what is wrong then stays wrong.
// A signal while no worker runs ends the parent with status 0.
//
// When the parent is killed the worker gets SIGTERM and stops in order. Left running it would hold
// the bus's socket against whoever is started next, and lose all that the store held if it died.
//
// SIGHUP is passed on to a worker, which reads its configuration again; when it says that the terminal is gone
// (daemon/system/hangup.hpp) it is a SIGTERM.
//
// A worker is to become ready in time, and from then on to say WATCHDOG=1 in time ($WATCHDOG_USEC) until it stops.
// One that does not hangs: it is killed with SIGKILL, which alone ends one that is stopped, too, and started again.
//
// Whoever started the parent hears from it what the worker says of itself: that it is ready, the
// first time, that it reloads, that it stops, that it is well, and its status. Where that watches the parent, too, the worker has
// half of its time.
#pragma once

#include "daemon/parent/back_off.hpp"

#include <string>
#include <vector>

namespace shmbus::parent {

/// After which a worker hangs. For the start as long as our systemd unit has it.
struct Patience {
    std::chrono::microseconds start = std::chrono::minutes(5);
    std::chrono::microseconds watchdog = std::chrono::seconds(30);
};

/// Runs the command (a path and its arguments) as a worker, again and again. For a process without
/// other threads and children, that ends with what is returned: its signals stay blocked.
/// @returns the exit status @throws Error(limit), Error(system)
[[nodiscard]] int run_parent(const std::vector<std::string>& worker_command,
                             BackOff back_off = {std::chrono::milliseconds(50),
                                                 std::chrono::seconds(2)},
                             Patience patience = {});

} // namespace shmbus::parent
