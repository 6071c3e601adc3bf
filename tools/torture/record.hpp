// What the processes of a torture say of what they do: one record for each thing that is promised.
#pragma once

#include <shmbus/types.hpp>

#include <cstdint>

namespace shmbus::tools::torture {

enum class Said : std::uint8_t {
    // A publisher. Sequences, ids and digests are those of its events.
    opened,    ///< `number` is the bus's id of it, `sequence` its last_event_id()
    intended,  ///< it is about to publish the event `number`, with this digest
    published, ///< the event `number` is at `sequence`; 0: somewhere, it was one of several
    refused,   ///< the event `number` was not published: `detail` is the PublishOutcome
    durable,   ///< what wait_durable() said of `sequence`: `detail` is the Durability
    repeated,  ///< it published `number` again, which was there: `detail` is the PublishOutcome
    // A subscriber.
    subscribed, ///< it begins with `sequence`, and may begin up to `number`; `head` is the newest then
    delivered,     ///< `sequence` is the event `number` of this writer, with this digest
    torn,          ///< the event at `sequence` is not under its own seal
    discarded,     ///< the event at `sequence` was reused while it was read, and the bus said so
    gap,           ///< `sequence` to `number` are none: `detail` is the GapReason; `head` as above
    acknowledging, ///< it is about to acknowledge `sequence`
    acknowledged,  ///< it has
    stuck,         ///< nothing came for long, though there is more behind `sequence`
    ended,         ///< its topic is removed; it would have looked at `sequence` next
};

struct Record {
    Sequence sequence = 0;
    std::uint64_t number = 0;
    std::uint64_t digest = 0;
    Sequence head = 0;
    std::uint64_t time_ns = 0;   ///< of CLOCK_MONOTONIC
    std::uint32_t writer = 0;    ///< who published an event, as the run counts them
    std::uint32_t publisher = 0; ///< the same, as the bus counts them
    Said said = Said::opened;
    std::uint8_t detail = 0;
};

} // namespace shmbus::tools::torture
