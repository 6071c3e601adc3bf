// The check of what members did finds what may not be.
#include "process/member_log.hpp"

#include <gmock/gmock.h>

namespace shmbus::test {

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

constexpr std::uint64_t second = 1'000'000'000;

/// Events 1 and 3 are of a key, and so are 2 and 4.
Verdict judge(const std::vector<Note>& notes, Sequence last) {
    return check(
        notes, last, [](Sequence s) { return static_cast<std::uint32_t>(s % 2); }, 1s);
}
Note received(std::uint32_t member, Sequence s, std::uint32_t attempt = 1, std::uint64_t at = 1) {
    return {Deed::received, member, s, attempt, at, at};
}
Note begins(std::uint32_t member, Sequence s) { return {Deed::acknowledging, member, s}; }
Note done(std::uint32_t member, Sequence s) { return {Deed::done, member, s}; }
Note refused(std::uint32_t member, Sequence s, std::uint64_t since, std::uint64_t at) {
    return {Deed::not_held, member, s, 0, since, at};
}
Note killing(std::uint32_t member) { return {Deed::killing, member}; }
Note leaving(std::uint32_t member) { return {Deed::leaving, member}; }

TEST(MemberLog, HasEverythingInOrder) {
    const MemberLog log(8);
    log.add({Deed::received, 70'000, 5, 4'095, 17, 18});
    log.add(leaving(2));
    const auto notes = log.all();
    ASSERT_EQ(notes.size(), 2U);
    EXPECT_EQ(notes[0].deed, Deed::received);
    EXPECT_EQ(notes[0].member, 70'000U);
    EXPECT_EQ(notes[0].sequence, 5U);
    EXPECT_EQ(notes[0].attempt, 4'095U);
    EXPECT_EQ(notes[0].since_ns, 17U);
    EXPECT_EQ(notes[0].at_ns, 18U);
    EXPECT_EQ(notes[1].deed, Deed::leaving);
    EXPECT_NE(notes[1].at_ns, 0U);
}

TEST(MemberLogCheck, NothingIsWrongWithWhatMayBe) {
    const auto verdict =
        judge({received(1, 1), received(2, 2), begins(1, 1), received(3, 3), done(1, 1), // by then
               killing(2), received(3, 2, 2), leaving(3), received(4, 2, 3), received(4, 3, 2),
               begins(4, 3), done(4, 3), received(5, 2, 4, 2 * second), begins(5, 2), done(5, 2),
               refused(4, 2, 1, 2 * second)},
              3);
    EXPECT_THAT(verdict.wrong, IsEmpty());
    EXPECT_EQ(verdict.again_after_kill, 1U);
    EXPECT_EQ(verdict.again_after_leave, 2U);
    EXPECT_EQ(verdict.again_after_time_out, 1U);
    EXPECT_EQ(verdict.refused, 1U);
    EXPECT_EQ(verdict.unseen, 0U);
}

TEST(MemberLogCheck, WhatAKillLeftNoTimeToNoteIsFilledIn) {
    const auto verdict = judge({received(1, 1),
                                begins(1, 1),
                                killing(1),
                                received(2, 3),
                                killing(2),
                                {},
                                received(3, 3, 2),
                                begins(3, 3),
                                done(3, 3),
                                killing(3),
                                received(4, 2, 2),
                                begins(4, 2),
                                done(4, 2)},
                               3);
    EXPECT_THAT(verdict.wrong, IsEmpty());
    EXPECT_EQ(verdict.unseen, 2U) << "1 was acknowledged, 2 received";
}

TEST(MemberLogCheck, FindsWhatWasNeverAcknowledged) {
    EXPECT_THAT(judge({received(1, 1)}, 1).wrong, ElementsAre(HasSubstr("never acknowledged")));
    EXPECT_THAT(judge({}, 1).wrong, ElementsAre(HasSubstr("never acknowledged")));
}

TEST(MemberLogCheck, FindsWhatWasAcknowledgedTwice) {
    const auto verdict =
        judge({received(1, 1), begins(1, 1), done(1, 1), begins(1, 1), done(1, 1)}, 1);
    EXPECT_THAT(verdict.wrong, ElementsAre(HasSubstr("twice")));
}

TEST(MemberLogCheck, FindsWhatCameTooEarly) {
    const auto verdict = judge({received(1, 2), begins(1, 2), done(1, 2), received(1, 1),
                                received(1, 3), begins(1, 1), done(1, 1), begins(1, 3), done(1, 3)},
                               3);
    EXPECT_THAT(verdict.wrong, ElementsAre(HasSubstr("while one of its key")));
}

TEST(MemberLogCheck, FindsWhatWasAcknowledgedOutOfOrder) {
    const auto verdict = judge({received(1, 2), begins(1, 2), done(1, 2), received(1, 1),
                                received(1, 3), begins(1, 3), done(1, 3), begins(1, 1), done(1, 1)},
                               3);
    EXPECT_THAT(verdict.wrong,
                ElementsAre(HasSubstr("before another one"), HasSubstr("while one of its key")));
}

TEST(MemberLogCheck, FindsWhatCameAgainForNothing) {
    const auto verdict = judge(
        {killing(3), received(1, 1, 1, 5), received(2, 1, 2, second / 2), begins(2, 1), done(2, 1)},
        1);
    EXPECT_THAT(verdict.wrong, ElementsAre(HasSubstr("nothing had happened")));
}

TEST(MemberLogCheck, FindsWhatCameAgainAfterItWasDone) {
    const auto verdict =
        judge({received(1, 1), begins(1, 1), done(1, 1), killing(1), received(2, 1, 2)}, 1);
    EXPECT_THAT(verdict.wrong,
                ElementsAre(HasSubstr("after it was acknowledged"), HasSubstr("that had lost it")));
}

TEST(MemberLogCheck, FindsWhoAcknowledgesWhatItHasLost) {
    const auto verdict =
        judge({received(1, 1), received(2, 1, 2, 2 * second), begins(1, 1), done(1, 1)}, 1);
    EXPECT_THAT(verdict.wrong, ElementsAre(HasSubstr("that had lost it")));
}

TEST(MemberLogCheck, FindsWhatTwoHadForTheFirstTime) {
    const auto verdict =
        judge({received(1, 1), killing(1), received(2, 1), begins(2, 1), done(2, 1)}, 1);
    EXPECT_THAT(verdict.wrong, ElementsAre(HasSubstr("attempt 1 twice")));
}

TEST(MemberLogCheck, FindsWhatWasTakenAwayTooEarly) {
    const auto verdict = judge({received(1, 1), begins(1, 1), refused(1, 1, 1, second / 2),
                                killing(1), received(2, 1, 2), begins(2, 1), done(2, 1)},
                               1);
    EXPECT_THAT(verdict.wrong, ElementsAre(HasSubstr("before its time")));
}

TEST(MemberLogCheck, FindsMoreLeftUnnotedThanThereWereKills) {
    const auto verdict = judge({received(2, 1, 2), begins(2, 1), done(2, 1)}, 1);
    EXPECT_THAT(verdict.wrong, ElementsAre(HasSubstr("that nobody noted")));
}

} // namespace

} // namespace shmbus::test
