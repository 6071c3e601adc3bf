// What has happened to a topic beside its events: who came and went, who died, what was given up and why.
//
// The daemon notes the last 128 comings and goings of each topic, and apart from them the last 128 of all else.
// They outlive the daemon where somebody keeps its descriptors; those of a topic on disk are in a file, too.
#pragma once

#include "shmbus/types.hpp"

namespace shmbus {

enum class IncidentKind : std::uint8_t {
    // Comings and goings.
    publisher_opened = 1,
    publisher_closed = 2,
    subscriber_opened = 3,
    subscriber_closed = 4,
    // All else.
    publisher_died = 16,
    subscriber_died = 17,
    aborted = 18, ///< a publisher that is ending, or dead, had begun these and does not finish them
    stalled = 19, ///< the same of one that stood still in the middle: it was stopped
    evicted = 20, ///< publishers wait for this subscriber no more, as it was behind for too long
    stolen = 21,  ///< this process took the durable subscription from its holder
    sought = 22,  ///< the durable subscription goes on behind event `last`
    paused = 23,  ///< the durable subscription
    resumed = 24, ///< likewise
    removed = 25, ///< likewise
    lost = 26,    ///< these were in memory alone when it was lost
    degraded = 27,    ///< the disk takes no events
    recovered = 28,   ///< it does again
    draining = 29,    ///< the topic takes no events
    reopened = 30,    ///< it does again
    adopted = 31,     ///< another daemon goes on with the topic's memory, which was kept for it
    handed_back = 32, ///< the same; clients had kept it
};

/// What does not apply is 0, or empty.
struct Incident {
    std::uint64_t number = 0; ///< counts up, with holes where older ones were forgotten
    std::chrono::sys_time<std::chrono::nanoseconds> time = {};
    IncidentKind kind = {}; ///< a newer daemon may know others
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    std::string command = {}; ///< name of that process's program, as in PeerInfo
    std::string unit = {};    ///< and its systemd unit
    std::string name = {};    ///< durable subscription, or named publisher
    Sequence first = 0;
    Sequence last = 0;
};

} // namespace shmbus
