// The generated code of control.capnp, and the numbers that its prose names.
#pragma once

// Generated code is not held to this project's warnings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wextra-semi"
#include "control.capnp.h"
#pragma GCC diagnostic pop

#include "shmbus/error.hpp"
#include "shmbus/group.hpp"
#include "shmbus/types.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace shmbus::control {

inline constexpr std::uint64_t max_message_words = 64 * 1024 / 8;
inline constexpr unsigned max_fds_per_message = 4;
inline constexpr std::uint32_t max_drain_wait_ms = 600'000;
inline constexpr std::uint32_t max_topics_per_answer = 64;

inline std::string to_string(capnp::Text::Reader text) { return {text.begin(), text.size()}; }
inline kj::StringPtr to_kj(const std::string& text) { return {text.c_str(), text.size()}; }

inline void write_options(const TopicOptions& options, protocol::TopicOptions::Builder to) {
    to.setFull(static_cast<std::uint8_t>(options.full));
    to.setCapacity(options.capacity);
    to.setSlotBytes(options.slot_bytes);
    to.setMaxEvent(options.max_event);
    to.setPoolBytes(options.pool_bytes);
    to.setEvictAfterMs(options.evict_after_ms);
    to.setHoldTimeoutMs(options.hold_timeout_ms);
    to.setRetention(static_cast<std::uint8_t>(options.retention));
    to.setSync(static_cast<std::uint8_t>(options.sync));
    to.setSyncIntervalMs(options.sync_interval_ms);
    to.setKeepBytes(options.keep_bytes);
    to.setKeepAgeMs(options.keep_age_ms);
    to.setKeepEvents(options.keep_events);
    to.setHold(options.hold);
}

/// As they came: layout::problem_with() says whether they make sense.
inline TopicOptions read_options(protocol::TopicOptions::Reader from) {
    return {.full = static_cast<FullPolicy>(from.getFull()),
            .capacity = from.getCapacity(),
            .slot_bytes = from.getSlotBytes(),
            .max_event = from.getMaxEvent(),
            .pool_bytes = from.getPoolBytes(),
            .evict_after_ms = from.getEvictAfterMs(),
            .hold_timeout_ms = from.getHoldTimeoutMs(),
            .retention = static_cast<Retention>(from.getRetention()),
            .sync = static_cast<Sync>(from.getSync()),
            .sync_interval_ms = from.getSyncIntervalMs(),
            .keep_bytes = from.getKeepBytes(),
            .keep_age_ms = from.getKeepAgeMs(),
            .keep_events = from.getKeepEvents(),
            .hold = from.getHold()};
}

inline void write_options(const GroupOptions& options, protocol::GroupOptions::Builder to) {
    using Milliseconds = std::uint32_t;
    to.setAckWaitMs(static_cast<Milliseconds>(options.ack_wait.count()));
    to.setMaxDeliver(options.max_deliver);
    to.setMaxInFlight(options.max_in_flight);
    to.setOrder(static_cast<std::uint8_t>(options.order));
    auto pauses = to.initBackOffMs(static_cast<unsigned>(options.back_off.size()));
    for (unsigned i = 0; i < pauses.size(); ++i)
        pauses.set(i, static_cast<Milliseconds>(options.back_off[i].count()));
}

/// As they came: group::problem_with() says whether they make sense.
inline GroupOptions read_options(protocol::GroupOptions::Reader from) {
    GroupOptions options{.ack_wait = std::chrono::milliseconds(from.getAckWaitMs()),
                         .max_deliver = from.getMaxDeliver(),
                         .max_in_flight = from.getMaxInFlight(),
                         .order = static_cast<Order>(from.getOrder())};
    for (const auto pause : from.getBackOffMs()) {
        if (options.back_off.size() > GroupOptions::max_back_off) break; // too many already
        options.back_off.emplace_back(pause);
    }
    return options;
}

} // namespace shmbus::control
