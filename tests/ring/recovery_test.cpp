// What the daemon does for the dead: everything back, nothing of the living touched.
#include "ring/recovery.hpp"

#include "support/leaks.hpp"
#include "support/stopped.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

using layout::ChunkState;

struct Death {
    Step step;
    bool in_chunk;
    Sequence first;
};

class Reap : public testing::TestWithParam<Death> {};

std::vector<Death> deaths() {
    std::vector<Death> all;
    for (const auto step : all_steps)
        for (const bool in_chunk : {false, true})
            for (const Sequence first : {Sequence{1}, before_wrap})
                all.push_back({step, in_chunk, first});
    return all;
}
INSTANTIATE_TEST_SUITE_P(Recovery, Reap, testing::ValuesIn(deaths()));

layout::RingParameters parameters_of(const Death& death) {
    auto p = parameters();
    p.first_sequence = death.first;
    return p;
}

TEST_P(Reap, MakesATombstoneFreesTheChunkAndTheEntry) {
    const auto [step, in_chunk, first] = GetParam();
    const TestRing ring(parameters_of(GetParam()));
    Pub dead(ring, 1);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    (void)pub.publish("before");
    const auto chunk = in_chunk ? dead.fill_chunk({"large"}) : layout::no_chunk;
    const Sequence s = stop(ring, dead, step, chunk);

    const auto reaped = ring::reap_publisher(ring.topic, 1);
    EXPECT_EQ(reaped.claims, 1U);
    EXPECT_EQ(reaped.chunks, in_chunk && step != Step::mark_published ? 1U : 0U);
    EXPECT_TRUE(ring.is(s, SlotState::aborted));
    EXPECT_EQ(ring.tail(), s + 1);

    EXPECT_EQ(pub.publish("after"), published(s + 1));
    EXPECT_EQ(sub.drain(), (Strings{std::to_string(first) + " before",
                                    std::to_string(s) + '-' + std::to_string(s) + " aborted",
                                    std::to_string(s + 1) + " after"}));
    for (int i = 0; i < 4; ++i) EXPECT_NE(pub.fill_chunk({"all can be had"}), layout::no_chunk);
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
}

TEST_P(Reap, AgainFindsNothingAndChangesNothing) {
    const TestRing ring(parameters_of(GetParam()));
    Pub dead(ring, 1);
    const auto chunk = GetParam().in_chunk ? dead.fill_chunk({"large"}) : layout::no_chunk;
    stop(ring, dead, GetParam().step, chunk);
    (void)ring::reap_publisher(ring.topic, 1);
    const TestRing before(ring);
    const auto again = ring::reap_publisher(ring.topic, 1);
    EXPECT_EQ(again.claims + again.chunks, 0U);
    const auto& header = ring.topic.ring.header(); // it rings, no more
    before.topic.ring.header().wake.store_relaxed(header.wake.load_relaxed());
    before.topic.ring.header().rung.store_relaxed(header.rung.load_relaxed());
    EXPECT_EQ(
        std::memcmp(before.ring_bytes().data(), ring.ring_bytes().data(), ring.ring_bytes().size()),
        0);
}

TEST_P(Reap, LeavesTheClaimsAndChunksOfOthersAlone) {
    const TestRing ring(parameters_of(GetParam()));
    Pub dead(ring, 1);
    Pub alive(ring, 2);
    Pub stepped_over(ring, 3);
    const auto kept = alive.fill_chunk({"kept"});
    const Sequence quarantined = stop(ring, stepped_over, Step::tail);
    ring.set(quarantined, SlotState::quarantined, 3);
    const Sequence claimed = stop(ring, alive, Step::content);
    stop(ring, dead, GetParam().step);
    (void)ring::reap_publisher(ring.topic, 1);
    EXPECT_TRUE(ring.is(claimed, SlotState::claimed, 2));
    EXPECT_TRUE(ring.is(quarantined, SlotState::quarantined, 3));
    EXPECT_EQ(ring.chunk(kept), Stamp::chunk(ChunkState::owned, 0, 2));
    EXPECT_EQ(ring.topic.ring.publisher(2).id.load_acquire(), 3U);
}

TEST(Recovery, EndsAQuarantineLapsLater) {
    const TestRing ring(parameters(FullPolicy::drop_oldest));
    const Pub dead(ring, 1);
    Pub pub(ring, 0);
    stop(ring, dead, Step::content);
    pub.publish_many(20);
    ASSERT_TRUE(ring.is(17, SlotState::quarantined, 1));
    EXPECT_EQ(ring::reap_publisher(ring.topic, 1).claims, 1U);
    EXPECT_TRUE(ring.is(17, SlotState::aborted));
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
}

class Quarantine : public testing::TestWithParam<Death> {};
INSTANTIATE_TEST_SUITE_P(Recovery, Quarantine, testing::ValuesIn(deaths()));

TEST_P(Quarantine, LetsOthersGoOnBeforeTheOwnerIsDead) {
    const auto [step, in_chunk, first] = GetParam();
    const TestRing ring(parameters_of(GetParam()));
    Pub stopped(ring, 1);
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    const auto chunk = in_chunk ? stopped.fill_chunk({"large"}) : layout::no_chunk;
    const Sequence s = stop(ring, stopped, step, chunk);

    const auto done = ring::quarantine_claims(ring.topic, ~ring::Entries(), s - 3, s);
    EXPECT_EQ(done.claims, 1U);
    EXPECT_EQ(done.owners, ring::Entries().set(1));
    EXPECT_EQ(done.first, s);
    EXPECT_EQ(done.last, s);
    EXPECT_TRUE(ring.is(s, SlotState::quarantined, 1)) << "its owner may still write there";
    EXPECT_EQ(pub.publish("after"), published(s + 1));
    EXPECT_EQ(sub.drain(), (Strings{std::to_string(s) + '-' + std::to_string(s) + " aborted",
                                    std::to_string(s + 1) + " after"}));
    EXPECT_EQ(ring::quarantine_claims(ring.topic, ~ring::Entries(), s - 3, s).claims, 0U);
    (void)ring::reap_publisher(ring.topic, 1);
    EXPECT_TRUE(ring.is(s, SlotState::aborted));
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
}

TEST(Recovery, QuarantinesWhatItIsToldToAndNothingElse) {
    const TestRing ring(parameters());
    Pub other(ring, 2);
    Pub stopped(ring, 1);
    (void)other.publish("event");
    const Sequence others = stop(ring, other, Step::tail);
    const Sequence first = stop(ring, stopped, Step::tail);
    const Sequence second = stop(ring, stopped, Step::tail);
    const auto owners = ring::Entries().set(1);
    EXPECT_EQ(ring::quarantine_claims(ring.topic, owners, 1, first).claims, 1U);
    EXPECT_TRUE(ring.is(1, SlotState::committed));
    EXPECT_TRUE(ring.is(others, SlotState::claimed, 2));
    EXPECT_TRUE(ring.is(first, SlotState::quarantined, 1));
    EXPECT_TRUE(ring.is(second, SlotState::claimed, 1)) << "beyond the last";
}

TEST(Recovery, DoesNotMoveATailThatIsElsewhere) {
    const TestRing ring(parameters());
    const Pub dead(ring, 1);
    Pub pub(ring, 0);
    stop(ring, dead, Step::claim);
    (void)pub.publish("helps the tail");
    (void)ring::reap_publisher(ring.topic, 1);
    EXPECT_EQ(ring.tail(), 3U);
}

TEST(Recovery, KeepsWhatTheDeadHadPublished) {
    const TestRing ring(parameters());
    Pub dead(ring, 1);
    Sub sub(ring, 0);
    (void)dead.publish("a");
    (void)dead.publish_in_chunk("b");
    (void)ring::reap_publisher(ring.topic, 1);
    EXPECT_EQ(sub.drain(), (Strings{"1 a", "2 b"}));
}

TEST(Recovery, AnEntryStartsAnewForTheNextPublisher) {
    const TestRing ring(parameters());
    Pub first(ring, 1);
    first.publish_many(20);
    EXPECT_NE(ring.topic.ring.publisher(1).gate.load_acquire(), 0U);
    (void)ring::reap_publisher(ring.topic, 1);
    EXPECT_EQ(ring.topic.ring.publisher(1).id.load_acquire(), 0U);
    EXPECT_EQ(ring.topic.ring.publisher(1).pid.load_acquire(), 0U);
    EXPECT_EQ(ring.topic.ring.publisher(1).gate.load_acquire(), 0U);
    Pub second(ring, 1);
    EXPECT_EQ(second.publish("a"), published(21));
}

TEST(Recovery, LimitsOnlyGrow) {
    const TestRing ring(parameters());
    ring::lease_publisher(ring.topic, 5, 1, 1);
    ring::lease_publisher(ring.topic, 2, 2, 1);
    EXPECT_EQ(ring.topic.ring.publisher_limit(), 6U);
    ring::lease_reader(ring.topic, 63, 1, 1);
    ring::lease_reader(ring.topic, 0, 1, 1);
    EXPECT_EQ(ring.topic.readers.reader_limit(), 64U);
}

TEST(Recovery, ReapsManyAtOnce) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    ring.set(1, SlotState::claimed, 1);
    ring.set(2, SlotState::claimed, 3);
    ring.set(3, SlotState::claimed, 4);
    ring.topic.ring.header().tail.store_release(4);
    const auto reaped = ring::reap_publishers(ring.topic, ring::Entries().set(1).set(4));
    EXPECT_EQ(reaped.claims, 2U);
    EXPECT_TRUE(ring.is(1, SlotState::aborted));
    EXPECT_TRUE(ring.is(2, SlotState::claimed, 3)) << "alive";
    EXPECT_TRUE(ring.is(3, SlotState::aborted));
}

// ---- subscribers
// ---------------------------------------------------------------------------------

TEST(Recovery, TakesADeadSubscriberOffTheGateAndItsHoldsBack) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub dead(ring, 9);
    Sub alive(ring, 10);
    for (std::uint32_t i = 0; i < 4; ++i) {
        (void)pub.publish_in_chunk("large");
        ASSERT_EQ(dead.look(i), Look::event);
    }
    ASSERT_EQ(alive.look(), Look::event);
    alive.reader.acknowledge(1);
    EXPECT_EQ(pub.publish_in_chunk("no").outcome, PublishOutcome::pool_full);
    ring::reap_reader(ring.topic, 9);
    EXPECT_EQ(pub.publish_in_chunk("no").outcome, PublishOutcome::pool_full) << "alive holds 1";
    EXPECT_EQ(alive.release(), Released::intact);
    EXPECT_EQ(pub.publish_in_chunk("yes"), published(5));
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
}

TEST(Recovery, ClearsHoldBitsThatNoCellNames) {
    auto p = parameters();
    p.max_readers = 128;
    const TestRing ring(p);
    for (std::uint32_t c = 0; c < 4; ++c) {
        ring.topic.readers.bits(c)[0].store_release(~0ULL);
        ring.topic.readers.bits(c)[1].store_release(~0ULL);
    }
    ring::reap_reader(ring.topic, 67);
    for (std::uint32_t c = 0; c < 4; ++c) {
        EXPECT_EQ(ring.topic.readers.bits(c)[0].load_acquire(), ~0ULL);
        EXPECT_EQ(ring.topic.readers.bits(c)[1].load_acquire(), ~0ULL ^ 1ULL << 3U);
    }
}

/// A subscriber may have written anything to the readers object; nothing of it outlives it.
TEST(Recovery, UndoesWhatADeadSubscriberWrote) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    Sub alive(ring, 2);
    auto& header = ring.topic.readers.header();
    header.armed.store_release(~std::uint64_t{0});
    header.space_rung.store_release(~std::uint64_t{0});
    ring.topic.ring.header().space_armed.store_release(~std::uint64_t{0});
    header.reader_limit.store_release(0);
    for (std::uint32_t r = 3; r < 20; ++r) {
        ring.topic.readers.entry(r).attach.store_release(
            layout::attach_word(r, layout::ReaderMode::gate));
        ring.topic.readers.cells(r)[7].store_release(layout::hold_word(1, 0));
    }
    ring.topic.readers.bits(1)[0].store_release(0xffff0);

    auto dead = ring::Entries().set();
    dead[2] = false;
    ring::reap_readers(ring.topic, dead);

    EXPECT_FALSE(ring.topic.event_bell().somebody_sleeps());
    EXPECT_FALSE(ring.topic.space_bell().somebody_sleeps());
    (void)ring.topic.space_bell().arm();
    EXPECT_TRUE(ring.topic.space_bell().somebody_sleeps());
    EXPECT_EQ(ring.topic.readers.reader_limit(), 3U);
    EXPECT_EQ(ring.topic.readers.bits(1)[0].load_acquire(), 0U);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out) << "alive is waited for";
    (void)alive.drain();
    pub.publish_many(8);
    EXPECT_EQ(alive.drain().size(), 8U);
}

TEST(Recovery, AnEntryOfASubscriberCanBeGivenToAnother) {
    const TestRing ring(parameters());
    Pub pub(ring, 0);
    const Sub dead(ring, 3);
    pub.publish_many(8);
    ring::reap_reader(ring.topic, 3);
    ring::reap_reader(ring.topic, 3);
    Sub next(ring, 3, {.token = 2000});
    EXPECT_EQ(next.next(), "1 filler");
    EXPECT_EQ(pub.publish("yes"), published(9));
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out);
}

// ---- the leak checker itself
// ---------------------------------------------------------------------

TEST(Leaks, AreSeen) {
    const auto leak = [](auto make) {
        const TestRing ring(parameters());
        Pub pub(ring, 0);
        (void)pub.publish_in_chunk("large");
        (void)ring::reap_publisher(ring.topic, 0);
        EXPECT_EQ(leaks(ring.topic), Strings{});
        make(ring.topic);
        return leaks(ring.topic).size();
    };
    EXPECT_EQ(
        leak([](const auto& t) { t.ring.chunk_word(2).store_relaxed(5ULL << 52U | 1ULL << 48U); }),
        1U);
    EXPECT_EQ(leak([](const auto& t) { t.ring.slot(2).stamp.store_relaxed(2 | 1ULL << 48U); }), 1U);
    EXPECT_EQ(leak([](const auto& t) { t.readers.bits(3)[0].store_relaxed(1); }), 1U);
    EXPECT_EQ(leak([](const auto& t) { t.readers.cells(7)[63].store_relaxed(1); }), 1U);
    EXPECT_EQ(leak([](const auto& t) { t.readers.entry(7).attach.store_relaxed(1); }), 1U);
    EXPECT_EQ(leak([](const auto& t) { t.ring.publisher(7).id.store_relaxed(1); }), 1U);
    EXPECT_EQ(leak([](const auto& t) { t.ring.chunk_word(1).store_relaxed(1 | 2ULL << 48U); }), 1U);
}

} // namespace
} // namespace shmbus::test
