// What the torture's checker finds wrong, in records that are made up; and what it does not.
#include "tools/torture_checker_fixture.hpp"

namespace shmbus::tools::torture {
namespace {

using testing::HasSubstr;

TEST_F(TortureChecker, FindsNothingWhereNothingIsWrong) {
    three_for_both();
    publish(other_, 1, 4);
    intend(out_, 4); // it was killed, and the event is there
    for (const Party subscriber : {in_, second_}) {
        deliver(subscriber, 4, other_, 1);
        deliver(subscriber, 5, out_, 4);
        gap(subscriber, 6, 7, GapReason::aborted);
    }
    checker_.at_end(topic_, 7);
    expect_none();
    EXPECT_EQ(checker_.counts().published, 4U);
    EXPECT_EQ(checker_.counts().delivered, 10U);
    EXPECT_EQ(checker_.counts()[GapReason::aborted], 4U);
}

TEST_F(TortureChecker, WhatIsSaidLateIsNotHeldAgainstAnybody) {
    intend(out_, 1);
    intend(out_, 2);
    deliver(in_, 1, out_, 1);
    deliver(in_, 2, out_, 2);
    for (Sequence s = 1; s <= 2; ++s) say(out_, Said::published, 0); // as number 1
    expect(0, "published what it never had");
    SetUp();
    intend(out_, 1);
    deliver(in_, 1, out_, 1);
    checker_.take(out_, {.sequence = 1, .number = 1, .said = Said::published});
    deliver(second_, 1, out_, 1);
    checker_.at_end(topic_, 1);
    expect_none();
}

TEST_F(TortureChecker, ALostEvent) {
    publish(out_, 1, 1);
    gap(in_, 1, 1, GapReason::aborted);
    expect(1, "in got a tombstone; it is event 1 of out");
}

TEST_F(TortureChecker, ALostEventThatIsConfirmedLater) {
    intend(out_, 1);
    gap(in_, 1, 1, GapReason::aborted);
    checker_.take(out_, {.sequence = 1, .number = 1, .said = Said::published});
    expect(1, "it is a tombstone, says in");
}

TEST_F(TortureChecker, ALostEventAtTheEnd) {
    three_for_both();
    publish(out_, 4, 4);
    deliver(second_, 4, out_, 4);
    checker_.at_end(topic_, 4);
    expect(4, "in ended here, and not behind 4");
}

TEST_F(TortureChecker, AHeadBeforeWhatWasPublished) {
    three_for_both();
    checker_.at_end(topic_, 2);
    EXPECT_FALSE(checker_.violations().empty());
}

TEST_F(TortureChecker, ALostEventOfABatch) {
    intend(out_, 1);
    checker_.take(out_, {.number = 1, .said = Said::published});
    checker_.at_end(topic_, 0);
    EXPECT_THAT(checker_.violations().back().what, HasSubstr("nobody got it"));
}

TEST_F(TortureChecker, ASequenceThatIsLeftOut) {
    three_for_both();
    publish(out_, 4, 4);
    publish(out_, 5, 5);
    deliver(in_, 5, out_, 5);
    expect(5, "in got 5 to 5, and 4 is next");
}

TEST_F(TortureChecker, ASequenceThatComesTwice) {
    three_for_both();
    gap(in_, 3, 3, GapReason::aborted);
    expect(3, "in got 3 to 3, and 4 is next");
}

TEST_F(TortureChecker, ASequenceThatIsUsedTwice) {
    publish(out_, 1, 1);
    publish(other_, 1, 1);
    expect(1, "other was told that this is its event 1");
}

TEST_F(TortureChecker, ADuplicate) {
    publish(out_, 1, 1);
    deliver(in_, 1, out_, 1);
    deliver(in_, 2, out_, 1);
    ASSERT_EQ(checker_.violations().size(), 2U);
    EXPECT_THAT(checker_.violations()[0].what, HasSubstr("behind event 1"));
    EXPECT_THAT(checker_.violations()[1].what, HasSubstr("is somewhere else"));
}

TEST_F(TortureChecker, ADuplicateThatTwoSeeAtDifferentPlaces) {
    intend(out_, 1);
    deliver(in_, 1, out_, 1);
    gap(second_, 1, 1, GapReason::expired);
    deliver(second_, 2, out_, 1);
    expect(2, "which is at 1, too");
}

TEST_F(TortureChecker, ATornPayload) {
    intend(out_, 1);
    checker_.take(in_, {.sequence = 1, .number = 1, .writer = out_, .said = Said::torn});
    expect(1, "in got a torn event, event 1 of out");
}

TEST_F(TortureChecker, AnotherPayloadThanWasSent) {
    intend(out_, 1);
    deliver(in_, 1, out_, 1, 7);
    expect(1, "was sent otherwise");
}

TEST_F(TortureChecker, AnEventOfNobody) {
    deliver(in_, 1, second_, 1);
    expect(1, "nobody");
    SetUp();
    deliver(in_, 1, 99, 1);
    expect(1, "nobody (99)");
}

TEST_F(TortureChecker, AnEventUnderAnotherPublishersNumber) {
    intend(out_, 1);
    checker_.take(in_, {.sequence = 1,
                        .number = 1,
                        .digest = digest(1),
                        .writer = out_,
                        .publisher = bus_id(other_),
                        .said = Said::delivered});
    expect(1, "who is none of this topic");
}

TEST_F(TortureChecker, ANumberOfThePublisherThatAnotherOneHad) {
    checker_.take(other_, {.number = bus_id(out_), .said = Said::opened});
    EXPECT_FALSE(checker_.violations().empty());
}

TEST_F(TortureChecker, Reordering) {
    intend(out_, 1);
    intend(out_, 2);
    deliver(in_, 1, out_, 2);
    deliver(in_, 2, out_, 1);
    expect(2, "in got event 1 of out behind event 2");
}

TEST_F(TortureChecker, SubscribersThatDisagreeOnAnEvent) {
    intend(out_, 1);
    intend(other_, 1);
    deliver(in_, 1, out_, 1);
    deliver(second_, 1, other_, 1);
    expect(1, "second got event 1 of other (00000000000003e9); it is event 1 of out "
              "(00000000000003e9), says in");
}

TEST_F(TortureChecker, SubscribersThatDisagreeOnAGap) {
    intend(out_, 1);
    gap(in_, 1, 1, GapReason::aborted);
    deliver(second_, 1, out_, 1);
    expect(1, "it is a tombstone, says in");
}

TEST_F(TortureChecker, ARefusedEventThatIsThere) {
    use(in_memory(FullPolicy::reject));
    intend(out_, 1);
    deliver(in_, 1, out_, 1);
    refuse(out_, 1, PublishOutcome::full);
    expect(1, "but it was told: full");
    SetUp();
    use(in_memory(FullPolicy::reject));
    intend(out_, 1);
    refuse(out_, 1, PublishOutcome::full);
    expect_none();
    deliver(in_, 1, out_, 1);
    expect(1, "was not sent");
}

TEST_F(TortureChecker, RefusalsThatTheTopicHasNoReasonFor) {
    for (const auto outcome : {PublishOutcome::timed_out, PublishOutcome::full,
                               PublishOutcome::closed, PublishOutcome::damaged}) {
        SetUp();
        intend(out_, 1);
        refuse(out_, 1, outcome);
        expect(0, name_of(outcome));
    }
    use({}, true);
    intend(out_, 1);
    refuse(out_, 1, PublishOutcome::closed);
    expect_none();
}

TEST_F(TortureChecker, GapsThatTheTopicHasNoReasonFor) {
    const auto gaps_of = [&](const TopicOptions& options) {
        std::vector<GapReason> wrong;
        for (const auto reason : {GapReason::overrun, GapReason::evicted, GapReason::lost,
                                  GapReason::expired, GapReason::corrupt}) {
            use(options);
            publish(out_, 1, 1);
            deliver(in_, 1, out_, 1);
            gap(in_, 2, 3, reason);
            if (!checker_.violations().empty()) wrong.push_back(reason);
        }
        return wrong;
    };
    using enum GapReason;
    using testing::ElementsAre;
    EXPECT_THAT(gaps_of({}), ElementsAre(overrun, evicted, lost, corrupt));
    TopicOptions unlimited;
    unlimited.keep_bytes = 0;
    EXPECT_THAT(gaps_of(unlimited), ElementsAre(overrun, evicted, lost, expired, corrupt));
    EXPECT_THAT(gaps_of(in_memory(FullPolicy::block)),
                ElementsAre(overrun, lost, expired, corrupt));
    EXPECT_THAT(gaps_of(in_memory(FullPolicy::drop_oldest)),
                ElementsAre(evicted, lost, expired, corrupt));
}

TEST_F(TortureChecker, WhoBeginsInThePastMayBeTooLate) {
    use(in_memory(FullPolicy::block));
    checker_.take(in_, {.sequence = 1, .number = 1, .head = 5, .said = Said::subscribed});
    publish(out_, 1, 1);
    deliver(in_, 1, out_, 1);
    gap(in_, 2, 5, GapReason::overrun);
    expect_none();
    gap(in_, 6, 6, GapReason::overrun);
    expect(6, "in has a gap up to 6: overrun");
}

TEST_F(TortureChecker, ANumberFarAhead) {
    gap(in_, 1, std::uint64_t{1} << 40U, GapReason::aborted);
    expect(1, "far ahead");
    SetUp();
    publish(out_, 1, std::uint64_t{1} << 40U);
    expect(std::uint64_t{1} << 40U, "far ahead");
}

TEST_F(TortureChecker, WhatIsLongAgoIsNotCompared) {
    for (Sequence s = 1; s <= Truth::capacity + 1; ++s) {
        publish(out_, s, s);
        deliver(in_, s, out_, s);
    }
    gap(second_, 1, 1, GapReason::aborted);
    expect_none();
    gap(second_, 2, 2, GapReason::aborted);
    expect(2, "second got a tombstone");
}

} // namespace
} // namespace shmbus::tools::torture
