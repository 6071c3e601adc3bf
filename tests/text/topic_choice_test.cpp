#include "shmbus/error.hpp"
#include "text/topic_choice.hpp"

#include <gtest/gtest.h>

namespace shmbus::text {
namespace {

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

TEST(TopicChoice, LeavesTheRestAsItIs) {
    EXPECT_EQ(TopicChoice{}.options(), TopicOptions{});
    const TopicOptions others{.capacity = 64, .keep_events = 7, .hold = true};
    EXPECT_EQ(TopicChoice{}.options(others), others);
    EXPECT_EQ((TopicChoice{.hold = false}.options(others).hold), false);
    EXPECT_EQ((TopicChoice{.capacity = 128}.options(others).capacity), 128U);
}

TEST(TopicChoice, FollowsTheProfileUnlessToldOtherwise) {
    const TopicChoice fast{.profile = parse_profile("fast")};
    EXPECT_EQ(fast.options().retention, Retention::memory);
    EXPECT_EQ(fast.options().full, FullPolicy::drop_oldest);
    EXPECT_EQ(fast.options().slot_bytes, 128U);
    TopicChoice other = fast;
    other.slot = 512;
    EXPECT_EQ(other.options().slot_bytes, 512U);
    EXPECT_EQ(refusal([] { return parse_profile("slow"); }), "'slow': there is one profile, fast");
}

TEST(TopicChoice, RefusesWhatDoesNotGoTogether) {
    EXPECT_NE(refusal([] {
                  return TopicChoice{.retention = Retention::memory, .keep_bytes = 1}.options();
              }),
              "accepted");
    EXPECT_EQ(refusal([] {
                  return TopicChoice{.retention = Retention::memory, .hold = false}.options();
              }),
              "accepted");
}

TEST(TopicChoice, HasItsWords) {
    EXPECT_EQ(parse_full("drop-oldest"), FullPolicy::drop_oldest);
    EXPECT_EQ(word_of(FullPolicy::drop_oldest), "drop-oldest");
    EXPECT_EQ(parse_retention("memory"), Retention::memory);
    EXPECT_EQ(parse_sync("interval:250").interval_ms, 250U);
    EXPECT_EQ(parse_small_size("64K"), 65'536U);
    EXPECT_EQ(parse_milliseconds("2s"), 2'000U);
    EXPECT_EQ(parse_age("0"), 0U);
    EXPECT_EQ(parse_age("1h"), 3'600'000U);
    EXPECT_EQ(refusal([] { return parse_full("drop_oldest"); }),
              "'drop_oldest' is none of block, reject and drop-oldest");
    EXPECT_NE(refusal([] { return parse_retention("tape"); }), "accepted");
    EXPECT_NE(refusal([] { return parse_sync("interval:0"); }), "accepted");
    EXPECT_NE(refusal([] { return parse_small_size("4G"); }), "accepted");
    EXPECT_NE(refusal([] { return parse_milliseconds("1us"); }), "accepted");
    EXPECT_NE(refusal([] { return parse_milliseconds("50d"); }), "accepted");
    EXPECT_NE(refusal([] { return parse_age("1us"); }), "accepted");
}

} // namespace
} // namespace shmbus::text
