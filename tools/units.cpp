#include "tools/units.hpp"

#include "tools/failure.hpp"
#include "tools/text.hpp"

#include <shmbus/types.hpp>

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
    } catch (const std::runtime_error&) { // Failure or Error: no time, or no duration
        throw Failure(
            ExitCode::usage,
            fmt::format("'{}' is none of all, new, last, a sequence from 1 up, a time such "
                        "as 2024-02-29T12:00:00Z, or -5m for five minutes ago",
                        printable(text)));
    }
}

} // namespace shmbus::tools
