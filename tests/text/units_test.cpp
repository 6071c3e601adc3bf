#include "shmbus/error.hpp"
#include "text/units.hpp"

#include <gtest/gtest.h>
#include <limits>

namespace shmbus::text {
namespace {

using namespace std::chrono_literals;

constexpr auto most = std::numeric_limits<std::uint64_t>::max();

// What a parser says about a text that it does not accept.
template <class Parse> std::string refusal(Parse parse) {
    try {
        static_cast<void>(parse());
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::bad_argument);
        return error.what();
    }
    return "accepted";
}

TEST(Duration, TakesEveryUnit) {
    EXPECT_EQ(parse_duration("7ns"), 7ns);
    EXPECT_EQ(parse_duration("8us"), 8us);
    EXPECT_EQ(parse_duration("500ms"), 500ms);
    EXPECT_EQ(parse_duration("5s"), 5s);
    EXPECT_EQ(parse_duration("2m"), 2min);
    EXPECT_EQ(parse_duration("1h"), 1h);
    EXPECT_EQ(parse_duration("3d"), 72h);
    EXPECT_EQ(parse_duration("1.5s"), 1500ms);
    EXPECT_EQ(parse_duration("0"), 0ns);
    EXPECT_EQ(parse_duration("0s"), 0ns);
}

TEST(Duration, RefusesWhatIsNone) {
    for (const char* const text : {"", "5", "s", "-5s", "5 s", "5x", "1e3s", "0x5s", "1.2.3s", "5S",
                                   "99999999d", "infs", "nans", "+5s"})
        EXPECT_NE(refusal([&] { return parse_duration(text); }), "accepted") << text;
    EXPECT_EQ(refusal([] { return parse_duration("5"); }),
              "'5' is not a duration such as 500ms, 5s, 2m, 1h");
}

TEST(Duration, IsPrintedAsItIsRead) {
    for (const char* const text :
         {"0s", "7ns", "8us", "500ms", "1500ms", "5s", "2m", "90s", "1h", "3d"})
        EXPECT_EQ(format_duration(parse_duration(text)), text);
    EXPECT_EQ(format_duration(60s), "1m");
    EXPECT_EQ(format_duration(-5s), "-5s");
}

TEST(Size, TakesBinaryMultiples) {
    EXPECT_EQ(parse_size("0"), 0U);
    EXPECT_EQ(parse_size("4096"), 4096U);
    EXPECT_EQ(parse_size("64K"), 65536U);
    EXPECT_EQ(parse_size("64k"), 65536U);
    EXPECT_EQ(parse_size("64KiB"), 65536U);
    EXPECT_EQ(parse_size("16M"), 16U << 20U);
    EXPECT_EQ(parse_size("1G"), 1U << 30U);
    EXPECT_EQ(parse_size("2T"), 2ULL << 40U);
    EXPECT_EQ(parse_size("1.5K"), 1536U);
}

TEST(Size, RefusesWhatIsNone) {
    for (const char* const text :
         {"", "K", "-1", "1.5", "1KB", "64 K", "9000000T", "1.0001K", "1P"})
        EXPECT_NE(refusal([&] { return parse_size(text); }), "accepted") << text;
}

TEST(Size, IsPrintedShort) {
    EXPECT_EQ(format_size(0), "0");
    EXPECT_EQ(format_size(1023), "1023");
    EXPECT_EQ(format_size(1024), "1K");
    EXPECT_EQ(format_size(1536), "1.5K");
    EXPECT_EQ(format_size(64ULL << 20U), "64M");
    EXPECT_EQ(format_size(3ULL << 40U), "3T");
    EXPECT_EQ(format_size(most), "16E");
}

TEST(Number, HasBounds) {
    EXPECT_EQ(parse_number("0", 0, 5), 0U);
    EXPECT_EQ(parse_number("18446744073709551615", 1, most), most);
    for (const char* const text : {"", "6", "-1", "+1", "1.0", "1 ", " 1", "18446744073709551616"})
        EXPECT_NE(refusal([&] { return parse_number(text, 0, 5); }), "accepted") << text;
    EXPECT_EQ(refusal([] { return parse_number("9", 0, 5); }), "'9' is not a number from 0 to 5");
    EXPECT_EQ(refusal([] { return parse_number("0", 1, most); }), "'0' is not a number from 1 up");
}

} // namespace
} // namespace shmbus::text
