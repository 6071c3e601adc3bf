#include "tools/failure.hpp"
#include "tools/units.hpp"

#include <gtest/gtest.h>

namespace shmbus::tools {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;

// What a parser says about a text that it does not accept.
template <class Parse> std::string refusal(Parse parse) {
    try {
        static_cast<void>(parse());
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), ExitCode::usage);
        return failure.what();
    } catch (const Error& error) { // of a unit
        EXPECT_EQ(exit_code_of(error.code()), ExitCode::usage);
        return error.what();
    }
    return "accepted";
}

TEST(Time, TakesRfc3339) {
    const Time noon = sys_days(std::chrono::year(2024) / 2 / 29) + 12h;
    const auto parse = [&](const char* text) { return parse_time(text, noon); };
    EXPECT_EQ(parse("2024-02-29T12:00:00Z"), noon);
    EXPECT_EQ(parse("2024-02-29t12:00:00z"), noon);
    EXPECT_EQ(parse("2024-02-29 12:00:00Z"), noon);
    EXPECT_EQ(parse("2024-02-29T14:30:00+02:30"), noon);
    EXPECT_EQ(parse("2024-02-29T04:00:00-08:00"), noon);
    EXPECT_EQ(parse("2024-02-29T12:00:00.5Z"), noon + 500ms);
    EXPECT_EQ(parse("2024-02-29T12:00:00.123456789Z"), noon + 123456789ns);
    EXPECT_EQ(parse("2024-02-29T12:00:00.1234567899Z"), noon + 123456789ns);
    EXPECT_EQ(parse("2024-02-29T11:59:60Z"), noon); // a leap second
    EXPECT_EQ(parse("-5m"), noon - 5min);
}

TEST(Time, RefusesWhatIsNone) {
    for (const char* const text :
         {"", "now", "2024-02-29", "2023-02-29T12:00:00Z", "2024-02-29T12:00:00",
          "2024-02-29T24:00:00Z", "2024-02-29T12:60:00Z", "2024-02-29T12:00:61Z",
          "2024-02-29T12:00:00.Z", "2024-02-29T12:00:00+0200", "2024-13-01T12:00:00Z",
          "2024-02-29T12:00:00Zx", "24-02-29T12:00:00Z", "1600-01-01T00:00:00Z",
          "2300-01-01T00:00:00Z", "5m", "--5m", "2024-02-29T12:00:00+24:00"})
        EXPECT_NE(refusal([&] { return parse_time(text, Time()); }), "accepted") << text;
}

TEST(Time, IsPrintedInUtcAsItIsRead) {
    for (const char* const text :
         {"1970-01-01T00:00:00.000000000Z", "2024-02-29T12:00:00.123456789Z",
          "1969-12-31T23:59:59.999999999Z", "2261-12-31T23:59:59.000000001Z"})
        EXPECT_EQ(format_time(parse_time(text, Time())), text);
}

TEST(Name, FollowsTheRule) {
    const std::string longest(128, 'x');
    for (const std::string& name : {std::string("a"), std::string("0.b_c-D"), longest})
        EXPECT_EQ(parse_name(name, "topic"), name);
    for (const std::string& name :
         {std::string(), std::string(".."), std::string("-n"), std::string("_a"), longest + 'x',
          std::string("a/b"), std::string("a b"), std::string("\xc3\xa4"), std::string("a\0b", 3)})
        EXPECT_NE(refusal([&] { return parse_name(name, "topic"); }), "accepted") << name;
    EXPECT_NE(
        refusal([] { return parse_name("\x1b[2J", "topic"); }).find("'\\x1b[2J' is not a name"),
        std::string::npos);
}

} // namespace
} // namespace shmbus::tools
