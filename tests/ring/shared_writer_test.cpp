// The publishing side, each interleaving with a stopped peer written by hand.
#include "ring/shared_writer.hpp"

#include "support/leaks.hpp"
#include "support/stopped.hpp"
#include "support/subscriber.hpp"

#include <thread>

namespace shmbus::test {
namespace {

constexpr auto drop_oldest = FullPolicy::drop_oldest;
using namespace std::chrono_literals;

// ---- sequences
// -----------------------------------------------------------------------------------

class FirstSequence : public testing::TestWithParam<Sequence> {};
INSTANTIATE_TEST_SUITE_P(Writer, FirstSequence, testing::Values(1, before_wrap, 12'345'678));

TEST_P(FirstSequence, IsWhereTheRingBeginsAndAllFollowDensely) {
    auto p = parameters(drop_oldest);
    p.first_sequence = GetParam();
    const TestRing ring(p);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (Sequence s = GetParam(); s < GetParam() + 2000; ++s) {
        ASSERT_EQ(pub.publish("x"), published(s));
        ASSERT_EQ(sub.next(), std::to_string(s) + " x");
    }
    EXPECT_EQ(ring.tail(), GetParam() + 2000);
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
}

TEST_P(FirstSequence, BlockPolicyFillsTheWholeRingAndNoMore) {
    auto p = parameters();
    p.first_sequence = GetParam();
    const TestRing ring(p);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (int lap = 0; lap < 200; ++lap) { // across the wrap of 48 bits
        for (int i = 0; i < 8; ++i) ASSERT_EQ(pub.publish("x").outcome, PublishOutcome::published);
        ASSERT_EQ(pub.publish("x").outcome, PublishOutcome::timed_out);
        ASSERT_EQ(sub.drain().size(), 8U);
    }
}

TEST(Writer, TakesEmptySlotsOfTheFirstLapOneByOne) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    EXPECT_EQ(pub.publish("a"), published(1));
    EXPECT_TRUE(ring.is(1, SlotState::committed));
    EXPECT_EQ(ring.stamp(2).word(), 0U);
}

TEST(Writer, WritesPayloadsOfEverySizeThatFitsASlot) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    const std::string text = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-";
    for (std::size_t size = 0; size <= 64; ++size) {
        ASSERT_EQ(pub.publish(text.substr(0, size)).outcome, PublishOutcome::published);
        ASSERT_EQ(sub.look(), Look::event);
        EXPECT_EQ(sub.text(), text.substr(0, size));
    }
}

TEST(Writer, PutsThePayloadBehindTheExtensionBlock) {
    const TestRing ring(parameters());
    Pub pub(ring, 3);
    Sub sub(ring, 0);
    ASSERT_TRUE(pub.publish({"payload", "a key", 77, 4711}).sequence == 1);
    ASSERT_EQ(sub.look(), Look::event);
    const auto& place = sub.place();
    EXPECT_EQ(sub.text(), "payload");
    EXPECT_EQ(layout::ExtensionReader(place.extension).key(), "a key");
    EXPECT_EQ(place.header.type, 77U);
    EXPECT_EQ(place.header.time_ns, 4711U);
    EXPECT_EQ(place.header.publisher, 4U);
}

// ---- a full ring
// ---------------------------------------------------------------------------------

TEST(Writer, RejectSaysFullAndGoesOnOnceThereIsRoom) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    EXPECT_EQ(ring.tail(), 9U);
    EXPECT_EQ(sub.next(), "1 filler");
    EXPECT_EQ(pub.publish("yes"), published(9));
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
}

TEST(Writer, BlockWaitsUpToItsDeadline) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    const auto before = Deadline::Clock::now();
    EXPECT_EQ(pub.publish("no", 20ms).outcome, PublishOutcome::timed_out);
    EXPECT_GE(Deadline::Clock::now() - before, 20ms);
    EXPECT_EQ(ring.tail(), 9U);
}

TEST(Writer, DropOldestNeverWaits) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(100);
    EXPECT_EQ(ring.tail(), 101U);
}

TEST(Writer, WaitsForNobodyWhenNobodyIsAttached) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(100);
    EXPECT_EQ(ring.tail(), 101U);
}

TEST(Writer, AnInterruptEndsTheNextWaitOnceAndNothingElse) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.writer.interrupt();
    pub.publish_many(8);
    EXPECT_EQ(ring.tail(), 9U) << "there was room: nothing to interrupt";
    EXPECT_EQ(pub.publish("no", 10s).outcome, PublishOutcome::interrupted);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out);
}

// ---- states
// --------------------------------------------------------------------------------------

TEST(Writer, PublishesOnlyToAnOpenRing) {
    using layout::RingState;
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    for (const auto state : {RingState::draining, RingState::closed, RingState::removed}) {
        ring::set_state(ring.topic, state);
        EXPECT_EQ(pub.publish("no", Deadline::never()).outcome, PublishOutcome::closed);
        std::uint32_t chunk = 0;
        EXPECT_EQ(pub.writer.take_chunk(1, Deadline::never(), chunk), PublishOutcome::closed);
    }
    EXPECT_EQ(ring.tail(), 1U);
    ring::set_state(ring.topic, RingState::open);
    EXPECT_EQ(pub.publish("yes"), published(1));
}

TEST(Writer, AWaitForRoomEndsWhenTheRingIsClosed) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    PublishOutcome outcome{};
    std::thread waiting([&] { outcome = pub.publish("no", 10s).outcome; });
    ring::set_state(ring.topic, layout::RingState::closed);
    waiting.join();
    EXPECT_EQ(outcome, PublishOutcome::closed);
}

// ---- stopped peers
// -------------------------------------------------------------------------------

TEST(Writer, HelpsTheTailOverAClaimWhoseOwnerStoppedBeforeIt) {
    const TestRing ring(parameters());
    const Pub stopped(ring, 1);
    Pub pub(ring, 0);
    ASSERT_EQ(stop(ring, stopped, Step::claim), 1U);
    EXPECT_EQ(pub.publish("a"), published(2));
    EXPECT_EQ(ring.tail(), 3U);
    EXPECT_TRUE(ring.is(1, SlotState::claimed, 1));
}

TEST(Writer, HelpsTheTailOverATombstoneThatTheDaemonLeftInTheMiddle) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    ring.set(1, SlotState::aborted); // and died before it moved the tail
    EXPECT_EQ(pub.publish("a"), published(2));
}

TEST(Writer, RevokesAClaimThatIsALapOldWhereverItsOwnerStopped) {
    for (const auto step : all_steps) {
        const TestRing ring(parameters(drop_oldest));
        const Pub stopped(ring, 1);
        Pub pub(ring, 0);
        Sub sub(ring, 0);
        ASSERT_EQ(stop(ring, stopped, step), 1U);
        pub.publish_many(7);
        EXPECT_TRUE(ring.is(1, SlotState::claimed, 1)) << "nobody needed its slot";
        EXPECT_EQ(sub.next(), "") << "still to come";
        EXPECT_EQ(pub.publish("a"), published(10)) << "9 is a tombstone";
        EXPECT_TRUE(ring.is(9, SlotState::quarantined, 1));
        EXPECT_EQ(ring.tail(), 11U);
    }
}

TEST(Writer, StepsOverAQuarantinedSlotLapByLapAndNeverWritesIt) {
    const TestRing ring(parameters(drop_oldest));
    const Pub stopped(ring, 1);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    ASSERT_EQ(stop(ring, stopped, Step::tail), 1U);
    const auto& slot = ring.topic.ring.slot(1);
    for (Sequence lap = 1; lap <= 5; ++lap) {
        pub.publish_many(8);
        EXPECT_TRUE(ring.is(1 + lap * 8, SlotState::quarantined, 1));
        for (const auto& word : slot.header) EXPECT_EQ(word.load_relaxed(), 0U);
    }
    EXPECT_EQ(ring.tail(), 1 + 1 + 40 + 5U); // the stopped claim, 40 events, a tombstone each lap
    const Strings seen = sub.drain();
    EXPECT_EQ(seen.front(), "1-38 overrun");
    EXPECT_EQ(seen.at(3), "41-41 aborted");
}

TEST(Writer, ASlotIsFreeAgainOnceItsLateOwnerIsGone) {
    const TestRing ring(parameters(drop_oldest));
    const Pub stopped(ring, 1);
    Pub pub(ring, 0);
    ASSERT_EQ(stop(ring, stopped, Step::content), 1U);
    pub.publish_many(8);
    ASSERT_TRUE(ring.is(9, SlotState::quarantined, 1));
    EXPECT_EQ(ring::reap_publisher(ring.topic, 1).claims, 1U);
    EXPECT_TRUE(ring.is(9, SlotState::aborted));
    pub.publish_many(8);
    EXPECT_TRUE(ring.is(17, SlotState::committed));
}

class AllSlotsStopped : public testing::TestWithParam<FullPolicy> {};
INSTANTIATE_TEST_SUITE_P(Writer, AllSlotsStopped,
                         testing::Values(FullPolicy::block, FullPolicy::reject,
                                         FullPolicy::drop_oldest));

/// As many stopped publishers as slots: there is nothing to claim, however far one goes.
TEST_P(AllSlotsStopped, GivesUpInsteadOfSteppingOverForEver) {
    auto p = parameters(GetParam());
    p.capacity = 2;
    const TestRing ring(p);
    const Pub a(ring, 1);
    const Pub b(ring, 2);
    Pub pub(ring, 0);
    stop(ring, a, Step::tail);
    stop(ring, b, Step::tail);
    const auto outcome = pub.publish("no", 20ms).outcome;
    EXPECT_EQ(outcome,
              GetParam() == FullPolicy::block ? PublishOutcome::timed_out : PublishOutcome::full);
    EXPECT_LE(ring.tail(), 100U) << "does not burn sequences while it waits";
    (void)ring::reap_publisher(ring.topic, 1);
    EXPECT_EQ(pub.publish("yes", 10s).outcome, PublishOutcome::published);
}

// ---- damage
// --------------------------------------------------------------------------------------

struct Impossible {
    const char* what;
    std::uint64_t word;
};

class Damaged : public testing::TestWithParam<Impossible> {};
INSTANTIATE_TEST_SUITE_P(
    Writer, Damaged,
    testing::Values(Impossible{"no state",
                               Stamp(Stamp::slot(9, SlotState::empty).word() | 7ULL << 48U).word()},
                    Impossible{"empty, but not zero", Stamp::slot(9, SlotState::empty).word()},
                    Impossible{"two laps old", Stamp::slot(1, SlotState::committed).word()},
                    Impossible{"two laps old claim", Stamp::slot(1, SlotState::claimed, 2).word()},
                    Impossible{"another slot's", Stamp::slot(10, SlotState::committed).word()},
                    Impossible{"a lap ahead", Stamp::slot(25, SlotState::committed).word()},
                    Impossible{"far ahead", Stamp::slot(1 << 30U, SlotState::aborted).word()},
                    Impossible{"all ones", ~0ULL}));

TEST_P(Damaged, StampsAreReportedAndNothingIsPublished) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    pub.publish_many(16);
    ring.topic.ring.slot(17).stamp.store_release(GetParam().word);
    EXPECT_EQ(pub.publish("no", Deadline::never()).outcome, PublishOutcome::damaged)
        << GetParam().what;
    EXPECT_EQ(ring.tail(), 17U);
    EXPECT_EQ(ring.topic.ring.slot(17).stamp.load_acquire(), GetParam().word);
}

} // namespace
} // namespace shmbus::test
