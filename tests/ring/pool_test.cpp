// The life of chunks: taken, published, held, evicted, taken again.
#include "ring/pool.hpp"

#include "base/clock.hpp"
#include "support/leaks.hpp"
#include "support/stopped.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

using layout::ChunkState;
constexpr auto drop_oldest = FullPolicy::drop_oldest;

/// A pool of publisher entry `owner`, without a Writer around it.
struct Hand {
    Hand(const TestRing& ring, std::uint32_t owner)
        : gate(ring.topic, owner), pool(ring.topic, owner, gate) {}
    ring::Gate gate;
    ring::Pool pool;
};

Stamp owned(std::uint32_t owner) { return Stamp::chunk(ChunkState::owned, 0, owner); }
Stamp of_event(Sequence s) { return Stamp::chunk(ChunkState::published, s, 0); }

/// Two classes: 4 chunks of 4 KiB, 1 of 16 KiB.
layout::RingParameters two_classes(FullPolicy policy) {
    auto p = parameters(policy);
    p.max_event = 8192;
    p.pool_bytes = 32'768;
    return p;
}

TEST(Pool, TakesEachChunkOnceAndGivesItBack) {
    const TestRing ring(parameters());
    Hand hand(ring, 5);
    for (std::uint32_t c = 0; c < 4; ++c) {
        EXPECT_EQ(hand.pool.take(100), c);
        EXPECT_EQ(ring.chunk(c), owned(5));
    }
    EXPECT_FALSE(hand.pool.take(100));
    hand.pool.give_back(2);
    EXPECT_EQ(ring.chunk(2).word(), 0U);
    EXPECT_EQ(hand.pool.take(100), 2U);
}

TEST(Pool, GivesBackOnlyItsOwn) {
    const TestRing ring(parameters());
    Hand mine(ring, 1);
    Hand other(ring, 2);
    ASSERT_EQ(other.pool.take(1), 0U);
    mine.pool.give_back(0);
    EXPECT_EQ(ring.chunk(0), owned(2));
    EXPECT_FALSE(mine.pool.mark_published(0, 1));
}

TEST(Pool, TakesTheSmallestClassThatFitsThenALargerOne) {
    const TestRing ring(two_classes(drop_oldest));
    ASSERT_EQ(ring.topic.ring.chunk_count(), 5U);
    Hand hand(ring, 0);
    EXPECT_EQ(hand.pool.take(4097), 4U);
    hand.pool.give_back(4);
    for (std::uint32_t c = 0; c < 4; ++c) EXPECT_EQ(hand.pool.take(4096), c);
    EXPECT_EQ(hand.pool.take(4096), 4U);
    EXPECT_FALSE(hand.pool.take(1));
    hand.pool.give_back(0);
    EXPECT_FALSE(hand.pool.take(4097));
    EXPECT_FALSE(hand.pool.take(16'385));
}

TEST(Pool, APublishedChunkBelongsToItsEvent) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    ASSERT_EQ(pub.publish_in_chunk("large"), published(1));
    EXPECT_EQ(ring.chunk(0), of_event(1));
    ASSERT_EQ(sub.look(), Look::event);
    EXPECT_EQ(sub.text(), "large");
    EXPECT_EQ(sub.place().payload.data(), ring.topic.ring.chunk(0).data()) << "read in place";
    EXPECT_EQ(sub.release(), Released::intact);
}

TEST(Pool, BlockReusesWhatIsBehindTheGateAndOnlyThat) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (int i = 0; i < 4; ++i) (void)pub.publish_in_chunk("large");
    EXPECT_EQ(pub.publish_in_chunk("no").outcome, PublishOutcome::pool_full);
    EXPECT_TRUE(ring.is(1, SlotState::committed));
    EXPECT_EQ(sub.next(), "1 large");
    EXPECT_EQ(pub.publish_in_chunk("yes"), published(5));
    EXPECT_TRUE(ring.is(1, SlotState::evicted));
    EXPECT_EQ(sub.drain(), (Strings{"2 large", "3 large", "4 large", "5 yes"}));
}

TEST(Pool, DropOldestEvictsTheOldestWhereverItIs) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    std::array<std::uint32_t, 4> chunks{};
    for (auto& chunk : chunks) chunk = pub.fill_chunk({"large"});
    for (const auto i : {3U, 1U, 0U, 2U})
        ASSERT_EQ(pub.publish_filled(chunks.at(i), {"large"}).outcome, PublishOutcome::published);
    for (Sequence s = 1; s <= 4; ++s) {
        (void)pub.publish_in_chunk("more");
        EXPECT_TRUE(ring.is(s, SlotState::evicted));
        if (s < 4) {
            EXPECT_TRUE(ring.is(s + 1, SlotState::committed));
        }
    }
}

TEST(Pool, PrefersAFreeChunkToAnEvent) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    const auto spare = pub.fill_chunk({"spare"});
    for (int i = 0; i < 3; ++i) (void)pub.publish_in_chunk("large");
    pub.writer.give_back(spare);
    (void)pub.publish_in_chunk("large");
    for (Sequence s = 1; s <= 4; ++s) EXPECT_TRUE(ring.is(s, SlotState::committed));
}

TEST(Pool, TakesAChunkWhoseSlotMovedOnWithoutEvictingAnything) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    for (int i = 0; i < 4; ++i) (void)pub.publish_in_chunk("large");
    pub.publish_many(8); // laps 1 to 4
    (void)pub.publish_in_chunk("large");
    for (Sequence s = 6; s <= 13; ++s) EXPECT_TRUE(ring.is(s, SlotState::committed)) << s;
}

TEST(Pool, TakesTheChunkOfATombstoneButNotOfAClaim) {
    const TestRing ring(parameters());
    Pub stopped(ring, 1);
    Hand hand(ring, 0);
    const Sub sub(ring, 0);
    const auto chunk = stopped.fill_chunk({"large"});
    for (int i = 0; i < 3; ++i) (void)stopped.fill_chunk({"other"});
    const Sequence s = stop(ring, stopped, Step::mark_published, chunk);
    EXPECT_FALSE(hand.pool.take(1));
    for (const auto state : {SlotState::aborted, SlotState::quarantined}) {
        ring.set(s, state, state == SlotState::quarantined ? 1 : 0);
        EXPECT_EQ(hand.pool.take(1), chunk);
        EXPECT_TRUE(ring.is(s, state, state == SlotState::quarantined ? 1 : 0));
        ring.topic.ring.chunk_word(chunk).store_release(of_event(s).word());
    }
}

TEST(Pool, TakesBackTheChunkOfARevokedClaimUnlessSomebodyElseDid) {
    const TestRing ring(parameters());
    Hand mine(ring, 0);
    Hand other(ring, 1);
    const auto chunk = mine.pool.take(1);
    ASSERT_TRUE(chunk && mine.pool.mark_published(*chunk, 1));
    ring.set(1, SlotState::quarantined, 0);
    EXPECT_TRUE(mine.pool.take_back(*chunk, 1));
    EXPECT_EQ(ring.chunk(*chunk), owned(0));
    ASSERT_TRUE(mine.pool.mark_published(*chunk, 1));
    ASSERT_EQ(other.pool.take(1), 1U);
    ASSERT_EQ(other.pool.take(1), 2U);
    ASSERT_EQ(other.pool.take(1), 3U);
    ASSERT_EQ(other.pool.take(1), *chunk);
    EXPECT_FALSE(mine.pool.take_back(*chunk, 1));
}

// ---- holds
// ---------------------------------------------------------------------------------------

TEST(Pool, LeavesHeldChunksAloneAndTheirEventsToOthers) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (int i = 0; i < 4; ++i) (void)pub.publish_in_chunk("large");
    ASSERT_EQ(sub.look(), Look::event);
    (void)pub.publish_in_chunk("more");
    EXPECT_TRUE(ring.is(1, SlotState::committed));
    EXPECT_TRUE(ring.is(2, SlotState::evicted));
    pub.publish_many(20); // its slot is gone, the chunk is still held
    for (int i = 0; i < 10; ++i) (void)pub.publish_in_chunk("more");
    EXPECT_EQ(sub.text(), "large");
    EXPECT_EQ(sub.release(), Released::intact);
}

TEST(Pool, IsExhaustedWhenAllIsHeld) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (std::uint32_t i = 0; i < 4; ++i) {
        (void)pub.publish_in_chunk("large");
        ASSERT_EQ(sub.look(i), Look::event);
    }
    EXPECT_EQ(pub.publish_in_chunk("no").outcome, PublishOutcome::pool_full);
    for (Sequence s = 1; s <= 4; ++s) EXPECT_TRUE(ring.is(s, SlotState::committed));
    EXPECT_EQ(sub.release(2), Released::intact);
    EXPECT_EQ(pub.publish_in_chunk("yes"), published(5));
    EXPECT_TRUE(ring.is(3, SlotState::evicted));
}

TEST(Pool, KeepsSixtyFourHoldsOfOneSubscriberApart) {
    auto p = parameters(drop_oldest);
    p.capacity = 128;
    p.pool_bytes = 64 * 12'288;
    const TestRing ring(p);
    Pub pub(ring, 0);
    Sub sub(ring, 63);
    for (std::uint32_t i = 0; i < 64; ++i) {
        ASSERT_EQ(pub.publish_in_chunk(std::to_string(i)).outcome, PublishOutcome::published);
        ASSERT_EQ(sub.look(i), Look::event);
    }
    EXPECT_EQ(pub.publish_in_chunk("no").outcome, PublishOutcome::pool_full);
    for (std::uint32_t i = 0; i < 64; ++i) {
        EXPECT_EQ(sub.text(i), std::to_string(i));
        EXPECT_EQ(sub.release(i), Released::intact);
        EXPECT_EQ(pub.publish_in_chunk("yes").outcome, PublishOutcome::published);
    }
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
}

/// Makes the hold in place `i` of `reader` look that old.
void age(const TestRing& ring, std::uint32_t reader, std::uint32_t i, std::uint32_t ms) {
    auto& cell = ring.topic.readers.cells(reader)[i];
    const auto chunk = static_cast<std::uint32_t>(cell.load_acquire() >> 32U) - 1;
    cell.store_release(layout::hold_word(chunk, base::coarse_ms() - ms));
}

TEST(Pool, RevokesAHoldThatIsOverdueWhenNothingElseIsLeft) {
    const TestRing ring(parameters(drop_oldest)); // hold_timeout is a minute
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (std::uint32_t i = 0; i < 4; ++i) {
        (void)pub.publish_in_chunk("large");
        ASSERT_EQ(sub.look(i), Look::event);
    }
    age(ring, 0, 2, 59'000);
    EXPECT_EQ(pub.publish_in_chunk("no").outcome, PublishOutcome::pool_full);
    age(ring, 0, 2, 60'000);
    EXPECT_EQ(pub.publish_in_chunk("new"), published(5));
    EXPECT_EQ(sub.release(2), Released::revoked);
    EXPECT_EQ(sub.release(1), Released::intact);
}

TEST(Pool, RevokesNothingWhileAnotherChunkCanBeHad) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (int i = 0; i < 4; ++i) (void)pub.publish_in_chunk("large");
    ASSERT_EQ(sub.look(), Look::event);
    age(ring, 0, 0, 3'600'000);
    for (int i = 0; i < 10; ++i) (void)pub.publish_in_chunk("more");
    EXPECT_EQ(sub.release(), Released::intact);
}

TEST(Pool, TakesAFreeLargerChunkBeforeItRevokes) {
    const TestRing ring(two_classes(drop_oldest));
    Hand hand(ring, 0);
    Pub pub(ring, 1);
    Sub sub(ring, 0);
    for (std::uint32_t i = 0; i < 4; ++i) {
        const auto chunk = hand.pool.take(4096);
        ASSERT_TRUE(chunk);
        ring.topic.ring.chunk_word(*chunk).store_release(owned(1).word()); // now pub's
        ASSERT_EQ(pub.publish_filled(*chunk, {"x"}).outcome, PublishOutcome::published);
        ASSERT_EQ(sub.look(i), Look::event);
        age(ring, 0, i, 3'600'000);
    }
    EXPECT_EQ(hand.pool.take(4096), 4U);
    EXPECT_EQ(hand.pool.take(4096), 0U);
}

TEST(Pool, AChunkIsSafeWhileOneOfItsHoldersIsInTime) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    Sub late(ring, 0);
    Sub in_time(ring, 40);
    for (std::uint32_t i = 0; i < 4; ++i) {
        (void)pub.publish_in_chunk("large");
        ASSERT_EQ(late.look(i), Look::event);
        ASSERT_EQ(in_time.look(i), Look::event);
        age(ring, 0, i, 3'600'000);
    }
    EXPECT_EQ(pub.publish_in_chunk("no").outcome, PublishOutcome::pool_full);
    (void)in_time.release(0);
    EXPECT_EQ(pub.publish_in_chunk("yes"), published(5));
}

TEST(Pool, AHoldBitThatNoCellAccountsForIsOverdue) {
    auto p = parameters(drop_oldest);
    p.pool_bytes = 12'288;
    const TestRing ring(p);
    Pub pub(ring, 0);
    (void)pub.publish_in_chunk("large");
    ring.topic.readers.bits(0)[0].store_release(1ULL << 17U);
    EXPECT_EQ(pub.publish_in_chunk("yes"), published(2));
}

/// The hold of an event is revoked, the chunk is used again, and the same subscriber holds that
/// event too: releasing the first must not give up the second.
TEST(Pool, ReleasingARevokedEventKeepsANewerHoldOfTheSameChunk) {
    auto p = parameters(drop_oldest);
    p.pool_bytes = 12'288;
    const TestRing ring(p);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    (void)pub.publish_in_chunk("old");
    ASSERT_EQ(sub.look(0), Look::event);
    age(ring, 0, 0, 3'600'000);
    ASSERT_EQ(pub.publish_in_chunk("new"), published(2));
    ASSERT_EQ(sub.look(1), Look::event);
    EXPECT_EQ(sub.release(0), Released::revoked);
    EXPECT_EQ(pub.publish_in_chunk("no").outcome, PublishOutcome::pool_full);
    EXPECT_EQ(sub.text(1), "new");
    EXPECT_EQ(sub.release(1), Released::intact);
    EXPECT_EQ(pub.publish_in_chunk("yes"), published(3));
}

TEST(Pool, AWaitForAChunkEndsWhenOneIsReleased) {
    using namespace std::chrono_literals;
    auto p = parameters();
    p.pool_bytes = 12'288;
    const TestRing ring(p);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    (void)pub.publish_in_chunk("large");
    ASSERT_EQ(sub.look(), Look::event);
    sub.reader.acknowledge(1);
    std::uint32_t chunk = 0;
    EXPECT_EQ(pub.writer.take_chunk(1, 20ms, chunk), PublishOutcome::pool_full);
    pub.writer.interrupt();
    EXPECT_EQ(pub.writer.take_chunk(1, 10s, chunk), PublishOutcome::interrupted);
    EXPECT_EQ(sub.release(), Released::intact);
    EXPECT_EQ(pub.writer.take_chunk(1, 10s, chunk), PublishOutcome::published);
}

} // namespace
} // namespace shmbus::test
