#include "text/units.hpp"

#include "shmbus/error.hpp"
#include "text/words.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <span>

namespace shmbus::text {

using namespace std::chrono_literals;

namespace {

[[noreturn]] void refuse_as_not(std::string_view text, std::string_view accepted) {
    throw Error(Errc::bad_argument, fmt::format("'{}' is not {}", printable(text), accepted));
}

// Takes a number off the front of the text: digits, and a fraction if there is one.
std::optional<double> take_decimal(std::string_view& text) {
    const std::size_t length = std::min(text.find_first_not_of("0123456789."), text.size());
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + length, value, std::chars_format::fixed);
    if (error != std::errc() || end != text.data() + length) return {};
    text.remove_prefix(length);
    return value;
}

struct Unit {
    std::string_view name;
    double worth;
};

// The number at the front of `text` times the unit that is the rest of it.
std::optional<double> parse_with_unit(std::string_view text, std::span<const Unit> units) {
    const auto value = take_decimal(text);
    if (!value) return {};
    for (const Unit& unit : units)
        if (text == unit.name) return *value * unit.worth;
    return {};
}

// Doubles at or beyond 2^63 do not fit into 64 bits with a sign.
constexpr double int64_end = 9223372036854775808.0;

} // namespace

Nanoseconds parse_duration(std::string_view text) {
    static constexpr std::array<Unit, 7> units{{{"ns", 1},
                                                {"us", 1e3},
                                                {"ms", 1e6},
                                                {"s", 1e9},
                                                {"m", 60e9},
                                                {"h", 3600e9},
                                                {"d", 86400e9}}};
    if (text == "0") return 0ns;
    const auto value = parse_with_unit(text, units);
    if (!value || *value >= int64_end) refuse_as_not(text, "a duration such as 500ms, 5s, 2m, 1h");
    return Nanoseconds(std::llround(*value));
}

std::string format_duration(Nanoseconds duration) {
    struct Step {
        Nanoseconds worth;
        const char* name;
    };
    static constexpr std::array<Step, 6> steps{
        {{24h, "d"}, {1h, "h"}, {1min, "m"}, {1s, "s"}, {1ms, "ms"}, {1us, "us"}}};
    if (duration == 0ns) return "0s";
    for (const auto& [worth, name] : steps)
        if (duration % worth == 0ns) return fmt::format("{}{}", duration / worth, name);
    return fmt::format("{}ns", duration.count());
}

std::uint64_t parse_size(std::string_view text) {
    constexpr double k = 1024;
    static constexpr std::array<Unit, 13> units{{{"", 1},
                                                 {"K", k},
                                                 {"k", k},
                                                 {"KiB", k},
                                                 {"M", k * k},
                                                 {"m", k * k},
                                                 {"MiB", k * k},
                                                 {"G", k * k * k},
                                                 {"g", k * k * k},
                                                 {"GiB", k * k * k},
                                                 {"T", k * k * k * k},
                                                 {"t", k * k * k * k},
                                                 {"TiB", k * k * k * k}}};
    const auto value = parse_with_unit(text, units);
    if (!value || *value >= int64_end || *value != std::floor(*value))
        refuse_as_not(text, "a size such as 4096, 64K, 16M, 1G");
    return static_cast<std::uint64_t>(*value);
}

std::string format_size(std::uint64_t bytes) {
    static constexpr std::string_view suffixes = "KMGTPE";
    if (bytes < 1024) return fmt::format("{}", bytes);
    auto value = static_cast<double>(bytes);
    std::size_t power = 0;
    for (; value >= 1024 && power < suffixes.size(); ++power) value /= 1024;
    const double rounded = std::round(value * 10) / 10;
    if (rounded == std::floor(rounded))
        return fmt::format("{:.0f}{}", rounded, suffixes[power - 1]);
    return fmt::format("{:.1f}{}", rounded, suffixes[power - 1]);
}

std::uint64_t parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && stop == end && value >= least && value <= most) return value;
    if (most == std::numeric_limits<std::uint64_t>::max())
        refuse_as_not(text, fmt::format("a number from {} up", least));
    refuse_as_not(text, fmt::format("a number from {} to {}", least, most));
}

} // namespace shmbus::text
