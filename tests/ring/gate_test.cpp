// How far publishers may overwrite, and whom they wait for no more.
#include "ring/gate.hpp"

#include "support/subscriber.hpp"

#include <thread>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;

/// Full, with a subscriber that has seen nothing yet.
layout::RingParameters evicting(std::uint32_t after_ms, FullPolicy policy = FullPolicy::block) {
    auto p = parameters(policy);
    p.evict_after_ms = after_ms;
    return p;
}

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

// ---- joining in the past -------------------------------------------------------------------------

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

// ---- eviction ------------------------------------------------------------------------------------

TEST(Gate, EvictsASubscriberThatStandsStillForLongEnough) {
    const TestRing ring(evicting(0));
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    EXPECT_FALSE(gate.evict_if_stalled(1)) << "the first look starts the clock";
    EXPECT_TRUE(gate.evict_if_stalled(1));
    EXPECT_EQ(ring.topic.ring.lossy_mark(0).load_acquire(),
              layout::attach_word(1000, layout::ReaderMode::gate));
    EXPECT_TRUE(gate.is_past(8));
    EXPECT_FALSE(gate.evict_if_stalled(1)) << "once";
}

TEST(Gate, DoesNotEvictBeforeItsTime) {
    const TestRing ring(evicting(60'000));
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(gate.evict_if_stalled(1));
    auto& since = ring.topic.ring.header().watched_since;
    since.store_release(since.load_acquire() - 59'000'000'000);
    EXPECT_FALSE(gate.evict_if_stalled(1));
    since.store_release(since.load_acquire() - 1'000'000'000);
    EXPECT_TRUE(gate.evict_if_stalled(1));
}

TEST(Gate, StartsTheClockAgainWhenTheCursorMoved) {
    const TestRing ring(evicting(0));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    EXPECT_FALSE(gate.evict_if_stalled(3));
    (void)sub.next();
    EXPECT_FALSE(gate.evict_if_stalled(3));
    EXPECT_TRUE(gate.evict_if_stalled(3));
}

TEST(Gate, DoesNotEvictWhoHoldsUpNothing) {
    const TestRing ring(evicting(0));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    (void)sub.drain();
    ring::Gate gate(ring.topic, 0);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(gate.evict_if_stalled(8));
}

/// The clock of a subscriber that left must not count against the next one in its entry.
TEST(Gate, ANewSubscriberHasAClockOfItsOwn) {
    const TestRing ring(evicting(60'000, FullPolicy::reject));
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    auto& since = ring.topic.ring.header().watched_since;
    since.store_release(since.load_acquire() - 120'000'000'000);
    ring::reap_reader(ring.topic, 0);
    Sub next(ring, 0, {.token = 2000}); // with the same cursor
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    EXPECT_EQ(next.next(), "1 filler");
}

/// A publisher waits for a chunk that another publisher has: no subscriber is to blame.
TEST(Gate, AWaitForAChunkDoesNotEvictWhoHasReadEverything) {
    const TestRing ring(evicting(0));
    Pub pub(ring, 0);
    Pub hoarder(ring, 1);
    Sub sub(ring, 0);
    (void)pub.publish("a");
    (void)sub.drain();
    while (hoarder.fill_chunk({"mine"}) != layout::no_chunk) {
    }
    std::uint32_t chunk = 0;
    EXPECT_EQ(pub.writer.take_chunk(1, 120ms, chunk), PublishOutcome::pool_full);
    EXPECT_EQ(ring.topic.ring.lossy_mark(0).load_acquire(), 0U);
}

TEST(Gate, APublisherThatWaitsEvictsAndGoesOnWithoutAnybodyRinging) {
    const TestRing ring(evicting(60));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("yes", 10s), published(9));
    EXPECT_EQ(sub.next(), "1-1 evicted");
    EXPECT_EQ(sub.next(), "2 filler");
}

TEST(Gate, RejectEvictsToo) {
    const TestRing ring(evicting(0, FullPolicy::reject));
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    EXPECT_EQ(pub.publish("yes"), published(9));
}

TEST(Gate, AnEvictedSubscriberLearnsItOnceAndIsWaitedForAgain) {
    const TestRing ring(evicting(0, FullPolicy::reject));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    (void)pub.publish("full");
    for (int i = 0; i < 12; ++i) (void)pub.publish("more");
    ASSERT_EQ(ring.tail(), 21U);
    EXPECT_EQ(sub.next(), "1-12 evicted");
    EXPECT_EQ(ring.topic.readers.entry(0).attach.load_acquire(),
              layout::attach_word(1001, layout::ReaderMode::gate));
    const Sequence relied_on = ring.topic.ring.publisher(0).gate.load_acquire();
    EXPECT_EQ(sub.reader.cursor(), relied_on) << "publishers wait from there on";
    while (pub.publish("more").outcome == PublishOutcome::published) {
    }
    EXPECT_EQ(ring.tail(), relied_on + 9);
    EXPECT_EQ(sub.drain().back(), std::to_string(relied_on + 8) + " more");
    EXPECT_EQ(pub.publish("yes").outcome, PublishOutcome::published);
}

TEST(Gate, AnEvictedSubscriberThatLostNothingIsSimplyBack) {
    const TestRing ring(evicting(0));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    (void)gate.evict_if_stalled(1);
    ASSERT_TRUE(gate.evict_if_stalled(1));
    EXPECT_EQ(sub.drain().size(), 8U);
    pub.publish_many(9);
    EXPECT_EQ(ring.tail(), 17U) << "publishers wait for it again";
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
