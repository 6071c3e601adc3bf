// The units that people type and read, on the command line and in the daemon's configuration: durations,
// sizes, numbers.
//
// Parsers take the whole text or throw Error(bad_argument) with a message that shows what is accepted.
// What the format_ functions print, the parsers read back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace shmbus::text {

using Nanoseconds = std::chrono::nanoseconds;

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

} // namespace shmbus::text
