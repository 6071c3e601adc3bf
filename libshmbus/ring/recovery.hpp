// What the daemon does to a ring for the dead, and on its own behalf.
//
// Every function here is safe beside publishers and subscribers at work, and idempotent: called
// again after the daemon died in the middle, it finishes the job. None of them follows an index or
// length from shared memory that it did not check.
#pragma once

#include "ring/view.hpp"

namespace shmbus::ring {

struct Reaped {
    std::uint32_t claims = 0; // that became tombstones
    std::uint32_t chunks = 0; // that were freed
};

/// The process behind publisher entry `owner` is dead (its pidfd said so) or has released the
/// entry: turns its claims into tombstones, frees its chunks, wakes who may have missed the wake-up
/// it did not live to give. The entry is free afterwards.
Reaped reap_publisher(const Topic& topic, std::uint32_t owner) noexcept;

/// The same for a subscriber: clears its holds, takes it off the gate, wakes publishers.
void reap_reader(const Topic& topic, std::uint32_t reader) noexcept;

/// Makes entry `owner` (found free by the daemon's own books) one publisher's.
void lease_publisher(const Topic& topic, std::uint32_t owner, std::uint32_t id,
                     std::uint32_t pid) noexcept;
/// Makes entry `reader` one subscriber's; it attaches itself.
void lease_reader(const Topic& topic, std::uint32_t reader, std::uint32_t pid) noexcept;

/// Sets the ring's state and wakes everybody who sleeps on it.
void set_state(const Topic& topic, layout::RingState state) noexcept;

/// Wakes every sleeper, subscribers and publishers, whatever it waits for.
void ring_bells(const Topic& topic) noexcept;

} // namespace shmbus::ring
