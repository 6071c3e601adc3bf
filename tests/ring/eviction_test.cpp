// Whom publishers wait for no more, and when.
#include "ring/gate.hpp"

#include "support/stopped.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;

/// With another patience than a minute.
layout::RingParameters evicting(std::uint32_t after_ms) {
    auto p = parameters();
    p.evict_after_ms = after_ms;
    return p;
}

TEST(Eviction, EvictsASubscriberThatStandsStillForLongEnough) {
    const TestRing ring(parameters()); // a minute
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    EXPECT_FALSE(gate.evict_if_stalled(1)) << "the first look starts the clock";
    EXPECT_FALSE(gate.evict_if_stalled(1));
    age(ring, 59'000);
    EXPECT_FALSE(gate.evict_if_stalled(1));
    age(ring, 1'000);
    EXPECT_TRUE(gate.evict_if_stalled(1));
    EXPECT_EQ(ring.topic.ring.watch(0).lossy.load_acquire(),
              layout::attach_word(1000, layout::ReaderMode::gate));
    EXPECT_TRUE(gate.is_past(8));
    EXPECT_FALSE(gate.evict_if_stalled(1)) << "once";
}

TEST(Eviction, StartsTheClockAgainWhenTheCursorMoved) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    EXPECT_FALSE(gate.evict_if_stalled(3));
    age(ring, 100'000);
    (void)sub.next();
    EXPECT_FALSE(gate.evict_if_stalled(3));
    EXPECT_FALSE(gate.evict_if_stalled(3));
    age(ring, 100'000);
    EXPECT_TRUE(gate.evict_if_stalled(3));
}

/// A publisher that tries once in a while has waited all the time: the ring was full all the time.
TEST(Eviction, TheClockRunsOnWhileNobodyTries) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
        age(ring, 12'000);
    }
    EXPECT_EQ(pub.publish("yes").outcome, PublishOutcome::published);
}

/// The readers object is its subscribers' to write: what one writes there may not hold up a topic
/// for longer than standing still does.
TEST(Eviction, ACursorThatMovesToAndFroDoesNotStopTheClock) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    auto& cursor = ring.topic.readers.entry(0).cursor;
    bool evicted = false;
    for (int i = 0; i < 20 && !evicted; ++i) {
        cursor.store_release(i % 2 == 0 ? 1 : 0);
        evicted = gate.evict_if_stalled(8);
        age(ring, 10'000);
    }
    EXPECT_TRUE(evicted);
}

/// Nor does one that creeps through what was overwritten long ago, where no subscriber can be.
TEST(Eviction, ACursorThatMovesWhereNothingIsLeftDoesNotStopTheClock) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (int lap = 0; lap < 10; ++lap) {
        pub.publish_many(8);
        (void)sub.drain();
    }
    ring::Gate gate(ring.topic, 0);
    auto& cursor = ring.topic.readers.entry(0).cursor;
    bool evicted = false;
    for (Sequence lie = 1; lie < 20 && !evicted; ++lie) {
        cursor.store_release(lie);
        evicted = gate.evict_if_stalled(80);
        age(ring, 10'000);
    }
    EXPECT_TRUE(evicted);
}

/// Nor does one that says it is somebody else each time.
TEST(Eviction, ATokenThatChangesDoesNotStopTheClock) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    auto& attach = ring.topic.readers.entry(0).attach;
    bool evicted = false;
    for (std::uint64_t token = 2000; token < 2020 && !evicted; ++token) {
        attach.store_release(layout::attach_word(token, layout::ReaderMode::gate));
        evicted = gate.evict_if_stalled(8);
        age(ring, 10'000);
    }
    EXPECT_TRUE(evicted);
}

/// Nor is anybody waited for in an entry that the daemon gave to nobody, or to somebody else.
TEST(Eviction, NobodyIsWaitedForInAnEntryThatIsNotHis) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    const Sub gone(ring, 1);
    ring::reap_reader(ring.topic, 1);
    const Sub present(ring, 2, {.lossy = true});
    const auto claims_to_gate = [&](std::uint32_t reader, std::uint64_t token) {
        ring.topic.readers.entry(reader).attach.store_release(
            layout::attach_word(token, layout::ReaderMode::gate));
    };
    ring.topic.readers.header().reader_limit.store_release(4);
    claims_to_gate(0, 1000); // never leased
    claims_to_gate(1, 1000);
    claims_to_gate(2, 1000 + layout::tokens_per_lease);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("yes"), published(9));
}

TEST(Eviction, DoesNotEvictWhoHoldsUpNothing) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    (void)sub.drain();
    ring::Gate gate(ring.topic, 0);
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(gate.evict_if_stalled(8));
        age(ring, 100'000);
    }
}

TEST(Eviction, EvictsAllWhoStandStillAndNobodyElse) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    const Sub first(ring, 0);
    Sub second(ring, 5, {.token = 5000});
    Sub moving(ring, 7);
    pub.publish_many(8);
    (void)second.next();
    ring::Gate gate(ring.topic, 0);
    EXPECT_FALSE(gate.evict_if_stalled(8));
    age(ring, 60'000);
    (void)moving.next();
    EXPECT_TRUE(gate.evict_if_stalled(8));
    EXPECT_NE(ring.topic.ring.watch(0).lossy.load_acquire(), 0U);
    EXPECT_NE(ring.topic.ring.watch(5).lossy.load_acquire(), 0U);
    EXPECT_EQ(ring.topic.ring.watch(7).lossy.load_acquire(), 0U);
    EXPECT_TRUE(gate.is_past(1));
    EXPECT_FALSE(gate.is_past(2));
}

/// Subscribers that wait at a stopped publisher's claim are not to blame: the claim is revoked.
TEST(Eviction, RevokesTheClaimThatSubscribersWaitAtInsteadOfEvictingThem) {
    const TestRing ring(parameters());
    const Pub stopped(ring, 1);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    stop(ring, stopped, Step::content);
    pub.publish_many(7);
    EXPECT_EQ(sub.next(), "");
    (void)sub.reader.arm();
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out);
    EXPECT_TRUE(ring.is(1, SlotState::claimed, 1));
    age(ring, 60'000);
    (void)pub.publish("no");
    EXPECT_TRUE(ring.is(1, SlotState::quarantined, 1));
    EXPECT_FALSE(ring.topic.event_bell().somebody_sleeps()) << "it was woken";
    EXPECT_EQ(ring.topic.ring.watch(0).lossy.load_acquire(), 0U);
    EXPECT_EQ(sub.drain().front(), "1-1 aborted");
    EXPECT_EQ(pub.publish("yes"), published(10));
}

/// The time in which the claim stood is its publisher's, also when it ends just before the limit.
TEST(Eviction, WhoStoodAtAClaimHasAllItsTimeWhenTheEventIsThere) {
    const TestRing ring(parameters());
    const Pub stopped(ring, 1);
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    stop(ring, stopped, Step::content);
    pub.publish_many(7);
    ring::Gate gate(ring.topic, 0);
    EXPECT_FALSE(gate.evict_if_stalled(1));
    age(ring, 59'999);
    EXPECT_FALSE(gate.evict_if_stalled(1));
    EXPECT_TRUE(ring.is(1, SlotState::claimed, 1));
    ring.topic.ring.slot(1).stamp.store_release(Stamp::slot(1, SlotState::committed).word());
    age(ring, 59'999);
    EXPECT_FALSE(gate.evict_if_stalled(1));
    EXPECT_EQ(ring.topic.ring.watch(0).lossy.load_acquire(), 0U);
    age(ring, 60'000);
    EXPECT_TRUE(gate.evict_if_stalled(1));
    EXPECT_NE(ring.topic.ring.watch(0).lossy.load_acquire(), 0U);
}

/// Nor does what it did before it was evicted count against one that came back.
TEST(Eviction, WhoComesBackHasAnotherEvictAfter) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    EXPECT_FALSE(gate.evict_if_stalled(1));
    age(ring, 60'000);
    EXPECT_TRUE(gate.evict_if_stalled(1));
    const auto again = layout::attach_word(layout::next_token(1000), layout::ReaderMode::gate);
    ring.topic.readers.entry(0).attach.store_release(again); // where it was
    EXPECT_FALSE(gate.evict_if_stalled(1));
    age(ring, 59'000);
    EXPECT_FALSE(gate.evict_if_stalled(1));
    age(ring, 1'000);
    EXPECT_TRUE(gate.evict_if_stalled(1));
    EXPECT_EQ(ring.topic.ring.watch(0).lossy.load_acquire(), again);
}

/// The clock of a subscriber that left must not count against the next one in its entry.
TEST(Eviction, ANewSubscriberHasAClockOfItsOwn) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    age(ring, 120'000);
    ring::reap_reader(ring.topic, 0);
    Sub next(ring, 0, {.token = 2000}); // with the same cursor
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    EXPECT_EQ(next.next(), "1 filler");
}

/// The very first gate of a new ring is reader 0 at cursor 0: that is no reason either.
TEST(Eviction, TheFirstSubscriberOfANewRingIsNotEvictedAtOnce) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    EXPECT_EQ(sub.next(), "1 filler");
}

/// Nor is one that comes when half of what a stamp tells apart has been published.
TEST(Eviction, ALateSubscriberIsNotEvictedAtOnce) {
    const TestRing ring(parameters(FullPolicy::reject));
    ring.topic.ring.header().tail.store_release((Sequence{1} << 47U) + 100);
    Pub pub(ring, 0);
    const Sub sub(ring, 0, {.start = Start::latest()});
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    age(ring, 59'000);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    age(ring, 1'000);
    EXPECT_EQ(pub.publish("yes").outcome, PublishOutcome::published);
}

/// A publisher waits for a chunk that another publisher has: no subscriber is to blame.
TEST(Eviction, AWaitForAChunkDoesNotEvictWhoHasReadEverything) {
    const TestRing ring(evicting(1));
    Pub pub(ring, 0);
    Pub hoarder(ring, 1);
    Sub sub(ring, 0);
    (void)pub.publish("a");
    (void)sub.drain();
    while (hoarder.fill_chunk({"mine"}) != layout::no_chunk) {
    }
    std::uint32_t chunk = 0;
    EXPECT_EQ(pub.writer.take_chunk(1, 120ms, chunk), PublishOutcome::pool_full);
    EXPECT_EQ(ring.topic.ring.watch(0).lossy.load_acquire(), 0U);
}

class Patience : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Eviction, Patience, testing::Values(1, 20, 200)); // milliseconds

TEST_P(Patience, APublisherThatWaitsEvictsAndGoesOnWithoutAnybodyRinging) {
    const TestRing ring(evicting(GetParam()));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("yes", 10s), published(9));
    EXPECT_EQ(sub.next(), "1-1 evicted");
    EXPECT_EQ(sub.next(), "2 filler");
}

TEST(Eviction, RejectEvictsTooAlsoWhenItIsShortOfChunks) {
    for (const bool in_chunk : {false, true}) {
        const TestRing ring(parameters(FullPolicy::reject));
        Pub pub(ring, 0);
        const Sub sub(ring, 0);
        const auto publish = [&] {
            return (in_chunk ? pub.publish_in_chunk("x") : pub.publish("x")).outcome;
        };
        while (publish() == PublishOutcome::published) {
        }
        age(ring, 60'000);
        EXPECT_EQ(publish(), PublishOutcome::published);
    }
}

} // namespace
} // namespace shmbus::test
