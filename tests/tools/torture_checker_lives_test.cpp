// What the checker finds wrong with those who live several times, and with the end of a topic.
#include "tools/torture_checker_fixture.hpp"

namespace shmbus::tools::torture {
namespace {

class TortureCheckerLives : public TortureChecker {};

// ---- durable subscriptions ---------------------------------------------------------------------

TEST_F(TortureCheckerLives, ADurableSubscriptionGoesOn) {
    use({}, false, false, true);
    three_for_both();
    acknowledge(in_, 2);
    subscribe(in_, 3);
    expect_none();
    EXPECT_EQ(checker_.counts().repeated, 1U);
    deliver(in_, 3, out_, 3);
    say(in_, Said::acknowledging, 3); // killed in the middle of it
    subscribe(in_, 4);
    expect_none();
    subscribe(in_, 3); // so it had happened
    expect(3, "in begins here, but has to between 4 and 4");
}

TEST_F(TortureCheckerLives, AStaleAcknowledgement) {
    use({}, false, false, true);
    three_for_both();
    acknowledge(in_, 3);
    subscribe(in_, 3);
    expect(3, "in begins here, but has to between 4 and 4");
}

TEST_F(TortureCheckerLives, AnEventThatADurableSubscriptionMisses) {
    use({}, false, false, true);
    three_for_both();
    acknowledge(in_, 1);
    subscribe(in_, 3);
    expect(3, "in begins here, but has to between 2 and 2");
}

TEST_F(TortureCheckerLives, ADurableSubscriptionHasBegunWhereItsFirstHolderBegan) {
    use(in_memory(FullPolicy::drop_oldest), false, false, true);
    subscribe(in_, 7, 9); // nothing was acknowledged: it begins anew
    expect_none();
    subscribe(in_, 7, 9);
    expect_none();
    subscribe(in_, 8, 9);
    expect(8, "in begins here, but has to between 7 and 7");
}

TEST_F(TortureCheckerLives, ALateBeginning) {
    subscribe(second_, 6, 5);
    expect(6, "second begins here");
}

// ---- named publishers --------------------------------------------------------------------------

TEST_F(TortureCheckerLives, ANamedPublisherGoesOn) {
    use({}, false, true);
    publish(out_, 1, 1);
    intend(out_, 2);
    open(out_, 2); // the bus knows that it is there
    deliver(in_, 1, out_, 1);
    deliver(in_, 2, out_, 2);
    intend(out_, 3);
    open(out_, 2); // and that this is not
    publish(out_, 3, 3);
    deliver(in_, 3, out_, 3);
    deliver(second_, 1, out_, 1);
    deliver(second_, 2, out_, 2);
    deliver(second_, 3, out_, 3);
    say(out_, Said::repeated, 0, static_cast<std::uint8_t>(PublishOutcome::duplicate));
    checker_.at_end(topic_, 3);
    expect_none();
}

TEST_F(TortureCheckerLives, AnEventThatANamedPublisherIsSaidToHave) {
    use({}, false, true);
    intend(out_, 1);
    open(out_, 1);
    gap(in_, 1, 1, GapReason::aborted);
    gap(second_, 1, 1, GapReason::aborted);
    checker_.at_end(topic_, 1);
    expect(0, "event 1 of out was published, and nobody got it");
}

TEST_F(TortureCheckerLives, AnEventThatANamedPublisherIsSaidNotToHave) {
    use({}, false, true);
    intend(out_, 1);
    open(out_, 0);
    deliver(in_, 1, out_, 1);
    expect(1, "was not sent");
}

TEST_F(TortureCheckerLives, ALastEventThatIsNotTheLastOne) {
    use({}, false, true);
    publish(out_, 1, 1);
    open(out_, 0);
    expect(0, "the last event of out is 0");
    use({}, false, true);
    open(out_, 1);
    expect(0, "the last event of out is 1");
}

TEST_F(TortureCheckerLives, AnIdThatIsMissing) {
    use({}, false, true);
    publish(out_, 1, 1);
    publish(out_, 2, 2);
    publish(out_, 3, 3);
    deliver(in_, 1, out_, 1);
    gap(in_, 2, 2, GapReason::expired);
    deliver(in_, 3, out_, 3);
    expect_none();
    intend(out_, 5);
    deliver(in_, 4, out_, 5);
    expect(4, "behind event 3");
}

TEST_F(TortureCheckerLives, AnEventThatIsPublishedAgain) {
    use({}, false, true);
    publish(out_, 1, 1);
    say(out_, Said::repeated, 2, static_cast<std::uint8_t>(PublishOutcome::published));
    expect(2, "published event 1 again");
}

// ---- the death of the bus ----------------------------------------------------------------------

TEST_F(TortureCheckerLives, OnlyWhatWasNeverUsedMayBeLostWithTheBus) {
    three_for_both();
    checker_.at_end(topic_, 3);
    checker_.begin_anew(topic_, 3);
    subscribe(in_);
    for (Sequence s = 1; s <= 3; ++s) deliver(in_, s, out_, s);
    gap(in_, 4, 9, GapReason::lost);
    checker_.at_end(topic_, 9);
    expect_none();
    subscribe(second_);
    deliver(second_, 1, out_, 1);
    deliver(second_, 2, out_, 2);
    gap(second_, 3, 9, GapReason::lost);
    expect(3, "second has a gap up to 9: lost");
}

// ---- and else ----------------------------------------------------------------------------------

TEST_F(TortureCheckerLives, DurabilityThatTheTopicHas) {
    const auto said = [&](Durability durability) {
        publish(out_, 1, 1);
        say(out_, Said::durable, 1, static_cast<std::uint8_t>(durability));
    };
    said(Durability::durable);
    expect_none();
    for (const auto durability : {Durability::not_durable, Durability::timed_out}) {
        SetUp();
        said(durability);
        expect(1, name_of(durability));
    }
    use(in_memory(FullPolicy::block));
    said(Durability::not_durable);
    expect_none();
    use(in_memory(FullPolicy::block));
    said(Durability::durable);
    expect(1, "durable");
}

TEST_F(TortureCheckerLives, WhoIsStuck) {
    say(in_, Said::stuck, 1);
    expect(1, "in waits for this one");
}

TEST_F(TortureCheckerLives, ATopicThatEnds) {
    publish(out_, 1, 1);
    say(in_, Said::ended, 1);
    expect(1, "was told that its topic is removed");
    use(in_memory(FullPolicy::block), true);
    three_for_both();
    say(in_, Said::ended, 4);
    checker_.at_removal(topic_);
    expect_none();
    publish(out_, 4, 4);
    checker_.at_removal(topic_);
    expect(4, "in was told that nothing is left, and 4 was published");
}

} // namespace
} // namespace shmbus::tools::torture
