// How far publishers may overwrite, and whom they wait for no more.
#include "ring/gate.hpp"

#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

TEST(Gate, WithNobodyAttachedIsTheNewestEvent) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(5);
    ring::Gate gate(ring.topic, 1);
    EXPECT_TRUE(gate.is_past(5));
    EXPECT_FALSE(gate.is_past(6));
}

TEST(Gate, IsTheSmallestCursorOfThoseThatAreWaitedFor) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub slow(ring, 0);
    Sub fast(ring, 33);
    const Sub lossy(ring, 7, {.lossy = true});
    pub.publish_many(5);
    (void)slow.next();
    (void)slow.next();
    (void)fast.drain();
    ring::Gate gate(ring.topic, 1);
    EXPECT_TRUE(gate.is_past(2));
    EXPECT_FALSE(gate.is_past(3));
    (void)slow.drain();
    EXPECT_TRUE(gate.is_past(5));
}

TEST(Gate, DoesNotWaitForWhoLeft) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out);
    ring::reap_reader(ring.topic, 0);
    EXPECT_EQ(pub.publish("yes"), published(9));
}

TEST(Gate, ACursorBeyondTheNewestEventDoesNotLetAnythingBeOverwritten) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    ring.topic.readers.entry(0).cursor.store_release(~0ULL); // forged
    ring::Gate gate(ring.topic, 1);
    EXPECT_TRUE(gate.is_past(8));
    EXPECT_FALSE(gate.is_past(9));
}

// ---- joining in the past
// -------------------------------------------------------------------------

TEST(Gate, AJoinerStartsNoLowerThanWhatPublishersRelyOn) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(12); // nobody there: the cached gate is 8 or more by now
    const Sequence cached = ring.topic.ring.publisher(0).gate.load_acquire();
    ASSERT_GE(cached, 4U);
    Sub sub(ring, 0);
    EXPECT_EQ(sub.reader.position(), 5U);
    EXPECT_EQ(sub.reader.cursor(), cached);
    EXPECT_EQ(ring.topic.readers.entry(0).cursor.load_acquire(), cached);
    // From there on nothing is lost, however the publisher runs.
    pub.publish_many(100);
    EXPECT_EQ(ring.tail(), cached + 9);
    const auto seen = sub.drain();
    EXPECT_EQ(seen.back(), std::to_string(cached + 8) + " filler");
    EXPECT_EQ(std::count_if(seen.begin(), seen.end(),
                            [](const auto& text) { return text.find('-') != text.npos; }),
              1)
        << "what the publisher relied on before was read while it lasted";
}

TEST(Gate, TheCursorIsRaisedToTheLargestGateOfAllPublishers) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(8);
    for (std::uint32_t p = 1; p < 4; ++p) ring::lease_publisher(ring.topic, p, p + 1, 1);
    ring.topic.ring.publisher(1).gate.store_release(3);
    ring.topic.ring.publisher(2).gate.store_release(5);
    ring.topic.ring.publisher(3).gate.store_release(4);
    const Sub sub(ring, 0);
    EXPECT_EQ(sub.reader.position(), 1U);
    EXPECT_EQ(sub.reader.cursor(), 5U);
}

TEST(Gate, AGateBeyondTheHeadDoesNotMoveAJoinerBeyondIt) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(8);
    ring::lease_publisher(ring.topic, 1, 2, 1);
    ring.topic.ring.publisher(1).gate.store_release(~0ULL); // forged
    const Sub sub(ring, 0);
    EXPECT_EQ(sub.reader.cursor(), 8U);
}

TEST(Gate, WhatAPublisherReliesOnNeverMovesBack) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    (void)sub.drain();
    ring::Gate gate(ring.topic, 1);
    ASSERT_TRUE(gate.is_past(8));
    Sub past(ring, 1, {.start = Start::sequence(4)});
    ring.topic.readers.entry(1).cursor.store_release(3); // as if it had not looked at the gates
    EXPECT_FALSE(gate.is_past(9));
    EXPECT_EQ(ring.topic.ring.publisher(1).gate.load_acquire(), 8U);
}

TEST(Gate, WhoeverLeavesIsWaitedForNoMoreButKeepsItsHolds) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    (void)pub.publish_in_chunk("large");
    ASSERT_EQ(sub.look(), Look::event);
    pub.publish_many(7);
    ASSERT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out);
    (void)ring.topic.space_bell().arm();
    sub.reader.leave();
    EXPECT_FALSE(ring.topic.space_bell().somebody_sleeps());
    pub.publish_many(20);
    EXPECT_EQ(ring.tail(), 29U);
    EXPECT_EQ(sub.text(), "large");
    EXPECT_EQ(sub.release(), Released::intact);
}

TEST(Gate, ALossySubscriberIsNotWaitedForAndGetsGaps) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.lossy = true});
    pub.publish_many(9);
    EXPECT_EQ(ring.tail(), 10U);
    EXPECT_EQ(sub.next(), "1-1 overrun");
}

TEST(Gate, OnlyWhatIsAcknowledgedMovesIt) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.acknowledges = false});
    pub.publish_many(8);
    EXPECT_EQ(sub.drain().size(), 8U);
    EXPECT_EQ(sub.reader.cursor(), 0U);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out);
    sub.reader.acknowledge(3);
    sub.reader.acknowledge(2);
    EXPECT_EQ(sub.reader.cursor(), 3U) << "never back";
    sub.reader.acknowledge(100);
    EXPECT_EQ(sub.reader.cursor(), 8U) << "never beyond what was received";
}

TEST(Gate, GapsBehindTheLastAcknowledgedEventMoveIt) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.acknowledges = false});
    pub.publish_many(3);
    ring.set(2, SlotState::aborted);
    ring.set(3, SlotState::aborted);
    EXPECT_EQ(sub.next(), "1 filler");
    EXPECT_EQ(sub.next(), "2-3 aborted");
    EXPECT_EQ(sub.reader.cursor(), 0U);
    sub.reader.acknowledge(1);
    EXPECT_EQ(sub.reader.cursor(), 3U);
}

} // namespace
} // namespace shmbus::test
