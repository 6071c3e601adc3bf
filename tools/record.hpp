// One event as a verb prints it, apart from the subscription it came from; so that everything that
// prints can be tested without a bus.
#pragma once

#include <shmbus/event.hpp>
#include <shmbus/types.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace shmbus::tools {

/// Views, valid as long as the event they were taken from.
struct Record {
    std::string_view topic;
    Sequence sequence = 0;
    std::chrono::sys_time<std::chrono::nanoseconds> time;
    std::string_view key;
    std::uint32_t type = 0;
    std::uint32_t publisher = 0;
    std::uint64_t id = 0;
    CorrelationId correlation = {};
    std::optional<Cause> cause = {};
    std::array<std::uint8_t, 8> parent_id = {};
    std::uint8_t trace_flags = 0;
    std::vector<Header> headers = {};
    std::string_view payload;
    std::optional<std::uint32_t> attempt = {}; ///< of a member of a group: which time it comes
};

[[nodiscard]] inline Record record_of(std::string_view topic, const Event& event) {
    Record record{.topic = topic,
                  .sequence = event.sequence(),
                  .time = event.time(),
                  .key = event.key(),
                  .type = event.type(),
                  .publisher = event.publisher(),
                  .id = event.id(),
                  .correlation = event.correlation(),
                  .cause = event.cause(),
                  .parent_id = event.parent_id(),
                  .trace_flags = event.trace_flags(),
                  .payload = event.text()};
    for (std::size_t i = 0; const auto header = event.header(i); ++i)
        record.headers.push_back(*header);
    return record;
}

} // namespace shmbus::tools
