// A checker that cannot fail proves nothing.
#include "support/stream_checker.hpp"

#include <gtest/gtest.h>

namespace shmbus::test {
namespace {

class Checker : public testing::Test {
  protected:
    static void see(Stream& stream, Sequence s, std::uint64_t number, std::uint32_t publisher = 1) {
        stream.event(s, Payload{publisher, number}.bytes(40));
    }
    std::size_t problems(bool all = true) {
        checker.add(stream, all);
        return checker.problems().size();
    }
    Stream stream{"a"};
    StreamChecker checker;
};

TEST_F(Checker, IsContentWithTheTruth) {
    for (const Sequence s : {1U, 2U, 4U}) checker.published(s, {1, s});
    see(stream, 1, 1);
    see(stream, 2, 2);
    stream.gap({3, 3, GapReason::aborted});
    see(stream, 4, 4);
    EXPECT_EQ(problems(), 0U);
}

TEST_F(Checker, SeesAHole) {
    checker.published(1, {1, 1});
    checker.published(3, {1, 3});
    see(stream, 1, 1);
    see(stream, 3, 3);
    EXPECT_EQ(problems(), 1U);
}

TEST_F(Checker, SeesARepeat) {
    checker.published(1, {1, 1});
    see(stream, 1, 1);
    stream.gap({1, 2, GapReason::overrun});
    EXPECT_EQ(problems(false), 1U);
}

TEST_F(Checker, SeesATornPayload) {
    checker.published(1, {1, 1});
    for (const std::size_t at : {0U, 8U, 23U, 39U}) {
        auto bytes = Payload{1, 1}.bytes(40);
        bytes[at] ^= std::byte{1};
        EXPECT_FALSE(Payload::of(bytes)) << at;
    }
    EXPECT_TRUE(Payload::of(Payload{1, 1}.bytes(24)));
    stream.event(1, {});
    EXPECT_EQ(problems(false), 1U);
}

TEST_F(Checker, SeesAPublisherOutOfOrder) {
    checker.published(1, {1, 2});
    checker.published(2, {1, 1});
    see(stream, 1, 2);
    see(stream, 2, 1);
    EXPECT_EQ(problems(), 1U);
}

TEST_F(Checker, SeesThatSubscribersDisagree) {
    checker.published(1, {1, 1});
    Stream other("b");
    see(stream, 1, 1);
    see(other, 1, 1, 2);
    checker.add(other, false);
    EXPECT_EQ(problems(), 2U); // and with what was published
}

TEST_F(Checker, SeesATombstoneThatIsAnEventForOthers) {
    checker.published(1, {1, 1});
    Stream other("b");
    see(stream, 1, 1);
    other.gap({1, 1, GapReason::aborted});
    checker.add(other, false);
    EXPECT_EQ(problems(), 1U);
}

TEST_F(Checker, SeesWhatACompleteStreamLost) {
    checker.published(1, {1, 1});
    stream.gap({1, 1, GapReason::overrun});
    EXPECT_EQ(problems(), 2U); // the gap, and the event
}

TEST_F(Checker, SeesOneSequenceGivenTwice) {
    checker.published(1, {1, 1});
    checker.published(1, {2, 1});
    see(stream, 1, 1);
    EXPECT_EQ(problems(), 1U);
}

} // namespace
} // namespace shmbus::test
