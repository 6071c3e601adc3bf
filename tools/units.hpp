// What people type and read: points in time and names, beside the units of text/units.hpp.
//
// Parsers take the whole text or throw Failure(usage), or Error(bad_argument) where a unit is wrong, with a
// message that shows what is accepted.
// What the format_ functions print, the parsers read back.
#pragma once

#include "text/units.hpp"

#include <shmbus/types.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace shmbus::tools {

using text::Nanoseconds;
using Time = std::chrono::sys_time<Nanoseconds>;

using text::format_duration;
using text::format_size;
using text::parse_duration;
using text::parse_number;
using text::parse_size;

/// RFC 3339, or a duration before `now`: "-5m".
[[nodiscard]] Time parse_time(std::string_view text, Time now);
/// Where a subscription starts: all, new, last, a sequence, or a time.
[[nodiscard]] Start parse_start(const std::string& text);
/// RFC 3339 in UTC, to the nanosecond.
[[nodiscard]] std::string format_time(Time time);

/// `text`, if it may be the key of an event.
[[nodiscard]] std::string parse_key(std::string_view text);

/// `text`, if it may name a topic, a subscription or a publisher; `what` says which, for the
/// message.
[[nodiscard]] std::string parse_name(std::string_view text, std::string_view what);

} // namespace shmbus::tools
