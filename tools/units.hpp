// The units that people type and read: durations, sizes, points in time, names.
//
// Parsers take the whole text or throw Failure(usage) with a message that shows what is accepted.
// What the format_ functions print, the parsers read back.
#pragma once

#include <shmbus/types.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace shmbus::tools {

using Nanoseconds = std::chrono::nanoseconds;
using Time = std::chrono::sys_time<Nanoseconds>;

/// 500ms, 5s, 1.5m, 1h; ns, us and d too; a bare 0.
[[nodiscard]] Nanoseconds parse_duration(std::string_view text);
/// In the largest unit that needs no fraction: 1500ms, 2m.
[[nodiscard]] std::string format_duration(Nanoseconds duration);

/// Bytes: 4096, 64K, 16M, 1G, 1T; binary multiples, also as KiB.
[[nodiscard]] std::uint64_t parse_size(std::string_view text);
/// At most one decimal, rounded: 300, 64K, 1.5M.
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// An unsigned decimal number within [least, most].
[[nodiscard]] std::uint64_t parse_number(std::string_view text, std::uint64_t least,
                                         std::uint64_t most);

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
