// The subscribing side: what it hands out, what it reports, where it starts.
#include "ring/reader.hpp"

#include "support/stopped.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

constexpr auto drop_oldest = FullPolicy::drop_oldest;
const Strings nothing{};

// ---- what a stamp says -------------------------------------------------------------------------

TEST(Reader, WaitsForAClaimThatIsUnderWay) {
    const TestRing ring(parameters());
    const Pub stopped(ring, 1);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    stop(ring, stopped, Step::content);
    (void)pub.publish("b");
    EXPECT_EQ(sub.next(), "");
    ring.set(1, SlotState::committed);
    EXPECT_EQ(sub.drain(), (Strings{"1 stopped", "2 b"}));
}

TEST(Reader, ReportsTombstonesInARowAsOneGap) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(5);
    ring.set(2, SlotState::aborted);
    ring.set(3, SlotState::quarantined, 4);
    ring.set(4, SlotState::aborted);
    EXPECT_EQ(sub.drain(), (Strings{"1 filler", "2-4 aborted", "5 filler"}));
}

TEST(Reader, AWholeRingOfTombstonesIsOneGap) {
    const TestRing ring(parameters());
    Sub sub(ring, 0);
    for (Sequence s = 1; s <= 8; ++s) ring.set(s, SlotState::aborted);
    ring.topic.ring.header().tail.store_release(9);
    EXPECT_EQ(sub.drain(), Strings{"1-8 aborted"});
}

TEST(Reader, ReportsExactlyWhatWasOverwritten) {
    for (Sequence ahead = 1; ahead <= 30; ++ahead) {
        const TestRing ring(parameters(drop_oldest));
        Pub pub(ring, 0);
        Sub sub(ring, 0);
        pub.publish_many(8 + ahead);
        Strings expected{"1-" + std::to_string(ahead) + " overrun"};
        for (Sequence s = ahead + 1; s <= ahead + 8; ++s)
            expected.push_back(std::to_string(s) + " filler");
        EXPECT_EQ(sub.drain(), expected);
    }
}

TEST(Reader, LeavesMoreDistanceAfterEachOverrunInARow) {
    auto p = parameters(drop_oldest);
    p.capacity = 64;
    const TestRing ring(p);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(65);
    EXPECT_EQ(sub.next(), "1-1 overrun");
    pub.publish_many(64); // 66 to 129: the oldest is 66
    EXPECT_EQ(sub.next(), "2-66 overrun");
    pub.publish_many(64);
    EXPECT_EQ(sub.next(), "67-132 overrun");
    EXPECT_EQ(sub.next(), "133 filler");
    pub.publish_many(64);
    EXPECT_EQ(sub.next(), "134-193 overrun") << "an event in between starts anew";
}

TEST(Reader, ReportsAnEvictedChunkAsOverrun) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    for (int i = 0; i < 5; ++i) (void)pub.publish_in_chunk("large");
    EXPECT_EQ(sub.drain(), (Strings{"1-1 overrun", "2 large", "3 large", "4 large", "5 large"}));
}

TEST(Reader, TellsSequencesApartAcrossTheWrapOfTheirStamps) {
    auto p = parameters(drop_oldest);
    p.first_sequence = (1ULL << 48U) - 4;
    const TestRing ring(p);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(10);
    const Sequence f = p.first_sequence;
    EXPECT_EQ(sub.next(), std::to_string(f) + '-' + std::to_string(f + 1) + " overrun");
    EXPECT_EQ(sub.next(), std::to_string(f + 2) + " filler");
    EXPECT_EQ(sub.drain().back(), std::to_string(f + 9) + " filler");
}

// ---- damage ------------------------------------------------------------------------------------

TEST(Reader, ReportsStampsThatCannotBeAsCorruptAndGoesOn) {
    for (const std::uint64_t state : {0ULL, 6ULL, 9ULL, 15ULL}) {
        const TestRing ring(parameters());
        Pub pub(ring, 0);
        Sub sub(ring, 0);
        pub.publish_many(3);
        ring.topic.ring.slot(2).stamp.store_release(2 | state << 48U);
        EXPECT_EQ(sub.drain(), (Strings{"1 filler", "2-2 corrupt", "3 filler"})) << state;
    }
}

TEST(Reader, ACommittedStampWithAnOwnerIsCorrupt) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(2);
    ring.set(1, SlotState::committed, 5);
    EXPECT_EQ(sub.drain(), (Strings{"1-1 corrupt", "2 filler"}));
}

struct BadHeader {
    std::uint32_t length;
    std::uint32_t chunk;
    std::uint16_t extension;
};
class Corrupt : public testing::TestWithParam<BadHeader> {};
constexpr auto in_slot = layout::no_chunk;
INSTANTIATE_TEST_SUITE_P(Reader, Corrupt,
                         testing::Values(BadHeader{65, in_slot, 0}, BadHeader{0, in_slot, 65},
                                         BadHeader{57, in_slot, 1}, BadHeader{~0U, in_slot, 0},
                                         BadHeader{0, in_slot, 65'535},
                                         BadHeader{~0U, in_slot, 65'535}, BadHeader{1, 4, 0},
                                         BadHeader{1, 0xfffffffe, 0}, BadHeader{12'289, 0, 0},
                                         BadHeader{~0U, 0, 0}, BadHeader{12'288, 0, 1},
                                         BadHeader{0, 0, 12'289}, BadHeader{0, 3, 65'535}));

TEST_P(Corrupt, HeadersAreReportedAndNothingBeyondTheSlotOrChunkIsRead) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(2);
    layout::EventHeader header{};
    header.length = GetParam().length;
    header.chunk = GetParam().chunk;
    header.extension = GetParam().extension;
    const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(header);
    for (std::size_t i = 0; i < words.size(); ++i)
        ring.topic.ring.slot(1).header[i].store_relaxed(words[i]);
    EXPECT_EQ(sub.drain(), (Strings{"1-1 corrupt", "2 filler"}));
    EXPECT_EQ(sub.reader.cursor(), 2U);
}

// ---- filters -----------------------------------------------------------------------------------

TEST(Reader, FiltersByTypeAndWhatIsLeftOutIsNoGap) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.types = {7, 9}});
    for (std::uint32_t type = 5; type < 10; ++type) (void)pub.publish(What{"x", {}, type});
    EXPECT_EQ(sub.drain(), (Strings{"3 x", "5 x"}));
}

TEST(Reader, FiltersByKeyInSlotsAndInChunks) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.key = "k1"});
    (void)pub.publish(What{"a", "k1"});
    (void)pub.publish(What{"b", "k2"});
    (void)pub.publish(What{"c"});
    (void)pub.publish_in_chunk(What{"d", "k2"});
    (void)pub.publish_in_chunk(What{"e", "k1"});
    EXPECT_EQ(sub.drain(), (Strings{"1 a", "5 e"}));
    for (std::uint32_t c = 0; c < 4; ++c)
        EXPECT_EQ(ring.topic.readers.bits(c)[0].load_acquire(), 0U) << "holds what it left out";
}

TEST(Reader, ComparesTheKeyItselfWhenHashesAreEqual) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.key = "mine"});
    std::vector<std::byte> extension(layout::max_extension_bytes);
    auto header = pub.header_of({"x", "other"}, extension.data());
    header.key_hash = base::key_hash("mine"); // forged
    ASSERT_EQ(pub.send({header, extension.data(), as_bytes("x").data()}, Deadline::now()),
              published(1));
    EXPECT_EQ(sub.drain(), nothing);
    header.flags = 0; // says it has no key
    (void)pub.send({header, extension.data(), as_bytes("x").data()}, Deadline::now());
    EXPECT_EQ(sub.drain(), nothing);
}

TEST(Reader, WhatTheFilterLeavesOutMovesTheGate) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.types = {1}});
    for (Sequence lap = 0; lap < 3; ++lap) {
        pub.publish_many(8);
        EXPECT_EQ(ring.tail(), lap * 8 + 9);
        EXPECT_EQ(sub.drain(), nothing);
    }
    EXPECT_EQ(sub.reader.cursor(), 24U);
}

TEST(Reader, LooksAgainAfterManyLeftOutEvents) {
    auto p = parameters();
    p.capacity = 2048;
    const TestRing ring(p);
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.types = {1}});
    pub.publish_many(1500);
    (void)pub.publish(What{"x", {}, 1});
    EXPECT_EQ(sub.next(), "skipped");
    EXPECT_EQ(sub.reader.cursor(), 1024U);
    EXPECT_EQ(sub.next(), "1501 x");
}

TEST(Reader, AnEvictedEventThatNobodyAskedForIsNoGap) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0);
    Sub sub(ring, 0, {.types = {1}});
    for (int i = 0; i < 5; ++i) (void)pub.publish_in_chunk("large");
    ASSERT_TRUE(ring.is(1, SlotState::evicted));
    EXPECT_EQ(sub.drain(), nothing);
}

// ---- starts ------------------------------------------------------------------------------------

TEST(Reader, StartsWithTheOldestStillThere) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(11);
    EXPECT_EQ(Sub(ring, 0).next(), "4 filler");
}

TEST(Reader, StartsWithWhatComesNext) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(11);
    Sub sub(ring, 0, {.start = Start::latest()});
    EXPECT_EQ(sub.next(), "");
    EXPECT_EQ(sub.reader.cursor(), 11U);
    (void)pub.publish("new");
    EXPECT_EQ(sub.next(), "12 new");
}

TEST(Reader, StartsWithTheNewestEventWhereThereIsOne) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub empty(ring, 0, {.start = Start::last()});
    EXPECT_EQ(empty.next(), "");
    pub.publish_many(3);
    EXPECT_EQ(empty.next(), "1 filler");
    ring.set(3, SlotState::aborted);
    EXPECT_EQ(Sub(ring, 1, {.start = Start::last()}).next(), "2 filler");
}

TEST(Reader, StartsAtASequenceThatIsThereGoneOrToCome) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(11);
    EXPECT_EQ(Sub(ring, 0, {.start = Start::sequence(6)}).next(), "6 filler");
    EXPECT_EQ(Sub(ring, 1, {.start = Start::sequence(2)}).next(), "2-3 overrun");
    EXPECT_EQ(Sub(ring, 4, {.start = Start::sequence(0)}).next(), "1-3 overrun");
    Sub later(ring, 2, {.start = Start::sequence(13)});
    EXPECT_EQ(later.next(), "");
    (void)pub.publish("12");
    EXPECT_EQ(later.next(), "");
    (void)pub.publish("13");
    EXPECT_EQ(later.next(), "13 13");
}

TEST(Reader, ASequenceTooFarToTellFromAnOldOneIsStillToCome) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    pub.publish_many(3);
    for (const Sequence far : {(1ULL << 47U) + 2, (1ULL << 48U) + 2, ~0ULL})
        EXPECT_EQ(Sub(ring, 0, {.start = Start::sequence(far)}).next(), "") << far;
}

TEST(Reader, StartsAtATime) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    for (const std::uint64_t time : {100U, 200U, 150U, 300U})
        (void)pub.publish(What{"x", {}, 0, time});
    const auto from = [](int ns) { return Start::time(Start::Time(std::chrono::nanoseconds(ns))); };
    EXPECT_EQ(Sub(ring, 0, {.start = from(0)}).next(), "1 x");
    EXPECT_EQ(Sub(ring, 1, {.start = from(101)}).next(), "2 x");
    EXPECT_EQ(Sub(ring, 2, {.start = from(201)}).next(), "4 x");
    EXPECT_EQ(Sub(ring, 3, {.start = from(301)}).next(), "");
}

// ---- states ------------------------------------------------------------------------------------

TEST(Reader, DrainsAClosedRingAndThenSaysSo) {
    for (const auto state : {layout::RingState::closed, layout::RingState::removed}) {
        const TestRing ring(parameters());
        Pub pub(ring, 0);
        Sub sub(ring, 0);
        pub.publish_many(2);
        ring::set_state(ring.topic, state);
        EXPECT_EQ(sub.drain(), (Strings{"1 filler", "2 filler", "closed"}));
    }
}

TEST(Reader, ADrainingRingMayOpenAgain) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    ring::set_state(ring.topic, layout::RingState::draining);
    EXPECT_EQ(sub.next(), "");
    ring::set_state(ring.topic, layout::RingState::open);
    (void)pub.publish("a");
    EXPECT_EQ(sub.next(), "1 a");
}

TEST(Reader, AClosedRingIsNotAtItsEndWhileAClaimIsOpen) {
    const TestRing ring(parameters());
    const Pub stopped(ring, 1);
    Sub sub(ring, 0);
    stop(ring, stopped, Step::content);
    ring::set_state(ring.topic, layout::RingState::closed);
    EXPECT_EQ(sub.next(), "");
    (void)ring::reap_publisher(ring.topic, 1);
    EXPECT_EQ(sub.drain(), (Strings{"1-1 aborted", "closed"}));
}

} // namespace
} // namespace shmbus::test
