#include "tools/units.hpp"

#include "tools/failure.hpp"
#include "tools/text.hpp"

#include <shmbus/types.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <limits>
#include <optional>

namespace shmbus::tools {

using namespace std::chrono_literals;

namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view accepted) {
    throw Failure(ExitCode::usage, fmt::format("'{}' is not {}", printable(text), accepted));
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

// Takes exactly `digits` decimal digits off the front of the text.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
    if (text.size() < digits) return {};
    int value = 0;
    for (const char c : text.substr(0, digits)) {
        if (c < '0' || c > '9') return {};
        value = value * 10 + (c - '0');
    }
    text.remove_prefix(digits);
    return value;
}

bool take(std::string_view& text, std::string_view any_of) {
    if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
}

std::optional<std::chrono::sys_days> take_date(std::string_view& text) {
    const auto year = take_digits(text, 4);
    if (!year || !take(text, "-")) return {};
    const auto month = take_digits(text, 2);
    if (!month || !take(text, "-")) return {};
    const auto day = take_digits(text, 2);
    if (!day) return {};
    const auto date =
        std::chrono::year(*year) / *month / *day; // no range check yet: that is ok()'s job
    if (!date.ok()) return {};
    return std::chrono::sys_days(date);
}

std::optional<Nanoseconds> take_fraction(std::string_view& text) {
    if (!take(text, ".")) return 0ns;
    const std::size_t length = std::min(text.find_first_not_of("0123456789"), text.size());
    if (length == 0) return {};
    Nanoseconds fraction = 0ns;
    Nanoseconds digit_worth = 100ms;
    for (const char c : text.substr(0, length)) {
        fraction += (c - '0') * digit_worth;
        digit_worth /= 10; // digits beyond nanoseconds are worth nothing
    }
    text.remove_prefix(length);
    return fraction;
}

std::optional<Nanoseconds> take_time_of_day(std::string_view& text) {
    const auto hours = take_digits(text, 2);
    if (!hours || *hours > 23 || !take(text, ":")) return {};
    const auto minutes = take_digits(text, 2);
    if (!minutes || *minutes > 59 || !take(text, ":")) return {};
    const auto seconds = take_digits(text, 2); // 60 is a leap second: the start of the next minute
    if (!seconds || *seconds > 60) return {};
    const auto fraction = take_fraction(text);
    if (!fraction) return {};
    return std::chrono::hours(*hours) + std::chrono::minutes(*minutes) +
           std::chrono::seconds(*seconds) + *fraction;
}

std::optional<Nanoseconds> take_offset(std::string_view& text) {
    if (take(text, "Zz")) return 0ns;
    const bool west = text.starts_with('-');
    if (!take(text, "+-")) return {};
    const auto hours = take_digits(text, 2);
    if (!hours || *hours > 23 || !take(text, ":")) return {};
    const auto minutes = take_digits(text, 2);
    if (!minutes || *minutes > 59) return {};
    const Nanoseconds offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
    return west ? -offset : offset;
}

std::optional<Time> parse_rfc3339(std::string_view text) {
    const auto date = take_date(text);
    // 64-bit nanoseconds reach from 1677 to 2262; whole years inside are enough for a log of
    // events.
    if (!date || *date < std::chrono::sys_days(std::chrono::year(1678) / 1 / 1) ||
        *date >= std::chrono::sys_days(std::chrono::year(2262) / 1 / 1))
        return {};
    if (!take(text, "Tt ")) return {};
    const auto time_of_day = take_time_of_day(text);
    if (!time_of_day) return {};
    const auto offset = take_offset(text);
    if (!offset || !text.empty()) return {};
    return Time(*date) + *time_of_day - *offset;
}

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
    if (!value || *value >= int64_end) refuse(text, "a duration such as 500ms, 5s, 2m, 1h");
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
        refuse(text, "a size such as 4096, 64K, 16M, 1G");
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
        refuse(text, fmt::format("a number from {} up", least));
    refuse(text, fmt::format("a number from {} to {}", least, most));
}

Time parse_time(std::string_view text, Time now) {
    if (text.starts_with('-')) return now - parse_duration(text.substr(1));
    const auto time = parse_rfc3339(text);
    if (!time) refuse(text, "a time such as 2024-02-29T12:00:00Z, or -5m for five minutes ago");
    return *time;
}

std::string format_time(Time time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(seconds - day);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                       (time - seconds).count());
}

std::string parse_key(std::string_view text) {
    if (!text.empty() && text.size() <= max_key_bytes) return std::string(text);
    throw Failure(ExitCode::usage,
                  fmt::format("a key has 1 to {} bytes, this one {}", max_key_bytes, text.size()));
}

std::string parse_name(std::string_view text, std::string_view what) {
    if (is_valid_name(text)) return std::string(text);
    refuse(text, fmt::format("a name for a {}: 1 to {} of A-Z a-z 0-9 . _ -, the first of them a "
                             "letter or a digit",
                             what, max_name_bytes));
}

Start parse_start(const std::string& text) {
    if (text == "all") return Start::all();
    if (text == "new") return Start::latest();
    if (text == "last") return Start::last();
    if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos)
        return Start::sequence(parse_number(text, 1, std::numeric_limits<std::uint64_t>::max()));
    try {
        return Start::time(parse_time(text, std::chrono::system_clock::now()));
    } catch (const Failure&) {
        throw Failure(
            ExitCode::usage,
            fmt::format("'{}' is none of all, new, last, a sequence from 1 up, a time such "
                        "as 2024-02-29T12:00:00Z, or -5m for five minutes ago",
                        printable(text)));
    }
}

} // namespace shmbus::tools
