// What the daemon does to a ring for the dead, and on its own behalf.
//
// Every function here is safe beside publishers and subscribers at work, and idempotent: called
// again after the daemon died in the middle, it finishes the job. None of them follows an index or
// length from shared memory that it did not check.
#pragma once

#include "ring/view.hpp"

#include <bitset>

namespace shmbus::ring {

struct Reaped {
    std::uint32_t claims = 0;   // that became tombstones
    std::uint32_t chunks = 0;   // that were freed
    layout::Sequence first = 0; // of the claims
    layout::Sequence last = 0;
};

/// Publisher entries, or subscriber entries.
using Entries = std::bitset<layout::max_max_publishers + 1>;

/// The processes behind these publisher entries are dead (their pidfds said so) or have released
/// them: turns their claims into tombstones, frees their chunks, wakes who may have missed the
/// wake-up they did not live to give. The entries are free afterwards. One pass over the ring,
/// however many there are.
Reaped reap_publishers(const Topic& topic, const Entries& dead) noexcept;
inline Reaped reap_publisher(const Topic& topic, std::uint32_t owner) noexcept {
    return reap_publishers(topic, Entries().set(owner));
}

/// The same for subscribers: clears their holds, takes them off the gate, wakes everybody. To be
/// called with every entry that nobody holds: a subscriber may have written to any of them, and to
/// all else in the readers object; what that would do for ever is undone here.
void reap_readers(const Topic& topic, const Entries& dead) noexcept;
inline void reap_reader(const Topic& topic, std::uint32_t reader) noexcept {
    reap_readers(topic, Entries().set(reader));
}

/// Claims that were given up, and whose they were.
struct Quarantined {
    std::uint32_t claims = 0;
    Entries owners = {};
    layout::Sequence first = 0; // of them
    layout::Sequence last = 0;
};

/// Claims of these entries from `first` to `last`, whose owners do not go on, become tombstones now, though
/// they may still write there (quarantined): their commits will fail. Not for an exclusive publisher, whose
/// commits do not look.
Quarantined quarantine_claims(const Topic& topic, const Entries& owners, layout::Sequence first,
                              layout::Sequence last) noexcept;

/// Makes entry `owner` (found free by the daemon's own books) one publisher's.
void lease_publisher(const Topic& topic, std::uint32_t owner, std::uint32_t id,
                     std::uint32_t pid) noexcept;
/// Makes entry `reader` one subscriber's; it attaches itself, with this token or the next ones.
void lease_reader(const Topic& topic, std::uint32_t reader, std::uint64_t token,
                  std::uint32_t pid) noexcept;

/// Sets the ring's state and wakes everybody who sleeps on it.
void set_state(const Topic& topic, layout::RingState state) noexcept;

/// The same for a ring that nobody will look after any more, where there is no more of it at hand.
void end_ring(layout::RingHeader& header) noexcept;

/// A topic on disk: everything up to these sequences is in a file, and on disk. Wakes publishers that
/// wait for room, or for their event to be durable.
void set_stored(const Topic& topic, layout::Sequence written, layout::Sequence durable) noexcept;

/// The largest event id in the ring of the publisher of this id, who does not publish meanwhile; 0: none.
[[nodiscard]] std::uint64_t last_event_of(const Topic& topic, std::uint32_t publisher) noexcept;

/// Wakes every sleeper, subscribers and publishers, whatever it waits for.
void ring_bells(const Topic& topic) noexcept;

} // namespace shmbus::ring
