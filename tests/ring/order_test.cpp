// The order of the accesses to shared memory, as the litmus tests in tests/model want it. x86 hides
// most of what goes wrong here, so the order itself is asserted, not an outcome.
#include "support/recorder.hpp"
#include "support/stopped.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto full = std::memory_order_seq_cst;
constexpr auto drop_oldest = FullPolicy::drop_oldest;

class Order : public testing::Test {
  protected:
    /// What `body` does; shown when the test fails.
    Log log_of(const std::function<void()>& body) {
        Log log(ring.topic, body);
        text = log.text();
        return log;
    }
    void TearDown() override {
        if (HasFailure()) std::fputs(text.c_str(), stderr);
    }
    const TestRing ring{parameters(drop_oldest)};
    std::string text;
};

/// Litmus A1 to A3, B1, B2, X1 to X3; Bell; closing.
TEST_F(Order, OfPublishingInASlot) {
    Pub pub(ring, 0);
    const auto log = log_of([&] { (void)pub.publish("0123456789"); });
    const auto claim = log.next("cas stamp");
    const auto fence = log.fence(release, claim);
    const auto tail = log.next("cas tail", claim);
    const auto state = log.next("load state", claim);
    const auto commit = log.next("cas stamp", claim);
    const auto look = log.next("load armed", commit);

    EXPECT_TRUE(log.has(claim, acquire)) << "takes over what the previous owner wrote";
    EXPECT_TRUE(log.has(claim, full)) << "before the second look at the state";
    EXPECT_TRUE(log.has(state, full));
    EXPECT_LT(fence, log.next("store content")) << "before the first byte of content";
    EXPECT_LT(tail, log.next("store content"));
    EXPECT_TRUE(log.has(tail, release));
    EXPECT_LT(state, log.next("store content")) << "nothing is written into a closed ring";
    EXPECT_LT(log.last("store content"), commit);
    EXPECT_TRUE(log.has(commit, release));
    EXPECT_TRUE(log.has(commit, full)) << "before the look at who sleeps";
    EXPECT_TRUE(log.has(look, full));
    EXPECT_EQ(log.last("load armed"), look);
}

/// Litmus X1 to X3, L4, P6; closing.
TEST_F(Order, OfPublishingExclusively) {
    Pub pub(ring, 0, Kind::exclusive);
    const auto log = log_of([&] { (void)pub.publish_batch({"0123456789", "more"}); });
    const auto claim = log.next("store stamp");
    const auto second = log.next("store stamp", claim);
    const auto fence = log.fence(full, claim);
    const auto state = log.next("load state", claim);
    const auto commit = log.next("store stamp", second);
    const auto last = log.last("store stamp");

    EXPECT_TRUE(log.has(claim, release)) << "carries along who is waited for no more";
    EXPECT_TRUE(log.has(second, release));
    EXPECT_LT(second, fence) << "all claims";
    EXPECT_LT(fence, log.next("store tail"));
    EXPECT_TRUE(log.has(log.next("store tail"), release));
    EXPECT_LT(fence, state) << "closed before the claims were seen, or after";
    EXPECT_LT(state, log.next("store content")) << "nothing is written into a closed ring";
    EXPECT_LT(log.next("store tail"), log.next("store content"));
    EXPECT_LT(log.next("store content"), commit);
    EXPECT_TRUE(log.has(commit, release));
    EXPECT_LT(commit, last);
    EXPECT_TRUE(log.has(last, release));
    EXPECT_LT(last, log.fence(full, last)) << "before the look at who sleeps";
    EXPECT_LT(log.fence(full, last), log.next("load armed"));
    EXPECT_EQ(log.last("load armed"), log.next("load armed")) << "once for all";
    for (const char* never : {"cas stamp", "cas tail"}) EXPECT_EQ(log.count(never), 0U) << never;
}

/// Model chunk, -DMUT_LATE_MARK.
TEST_F(Order, OfPublishingAChunk) {
    Pub pub(ring, 0);
    const auto chunk = pub.fill_chunk({"large"});
    const auto log = log_of([&] { (void)pub.publish_filled(chunk, {"large"}); });
    const auto claim = log.next("cas stamp");
    const auto mark = log.next("cas chunk");
    const auto commit = log.next("cas stamp", claim);
    EXPECT_LT(claim, mark);
    EXPECT_LT(mark, commit) << "marked before anybody can see the event";
    EXPECT_TRUE(log.has(mark, release));
}

/// Litmus B4, B5: what the late owner wrote comes before the next claim.
TEST_F(Order, OfSettingASlotFree) {
    Pub pub(ring, 0);
    Pub peer(ring, 1);
    // The claim is revoked between the release fence and the content.
    std::size_t fences = 0;
    Strings accesses;
    bool done = false;
    watch([&] { EXPECT_EQ(pub.publish("late").outcome, PublishOutcome::published); },
          [&](const Access& access) {
              if (access.op == base::AtomicOp::fence && fences++ == 0) peer.publish_many(8);
              const bool frees = access.op == base::AtomicOp::cas &&
                                 access.word == &ring.topic.ring.slot(1).stamp &&
                                 ring.is(9, SlotState::quarantined, 0) && !done;
              if (frees && access.order == release) done = true;
          });
    EXPECT_TRUE(done) << "quarantined to aborted with release";
    EXPECT_TRUE(ring.is(9, SlotState::aborted));
}

TEST_F(Order, OfRevokingAClaim) {
    const Pub stopped(ring, 1);
    Pub pub(ring, 0);
    stop(ring, stopped, Step::content);
    pub.publish_many(7);
    const auto log = log_of([&] { (void)pub.publish("a"); });
    const auto revoke = log.next("cas stamp");
    EXPECT_TRUE(log.has(revoke, full)) << "s is a tombstone: before the look at who sleeps";
    EXPECT_TRUE(log.has(log.next("load armed", revoke), full));
}

/// Litmus A3, A4.
TEST_F(Order, OfReadingASlot) {
    Pub pub(ring, 0);
    (void)pub.publish(What{"payload", "key"});
    Sub sub(ring, 0, {.key = "key"});
    const auto log = log_of([&] { EXPECT_EQ(sub.look(), Look::event); });
    const auto first = log.next("load stamp");
    const auto fence = log.fence(acquire, first);
    const auto second = log.next("load stamp", first);
    EXPECT_TRUE(log.has(first, acquire));
    EXPECT_TRUE(log.has(first, full)) << "the look after arm()";
    EXPECT_LT(first, log.next("load content"));
    EXPECT_LT(log.last("load content"), fence);
    EXPECT_LT(fence, second);
    EXPECT_EQ(log.last("load stamp"), second);
}

TEST_F(Order, OfLeavingOutASlot) {
    Pub pub(ring, 0);
    (void)pub.publish("x");
    Sub sub(ring, 0, {.types = {1}});
    const auto log = log_of([&] { EXPECT_EQ(sub.look(), Look::nothing); });
    const auto first = log.next("load stamp");
    const auto fence = log.fence(acquire, log.last("load content"));
    EXPECT_LT(fence, log.next("load stamp", first)) << "what was left out was this event";
}

/// Litmus H1 to H3: the reader's side.
TEST_F(Order, OfHoldingAChunk) {
    Pub pub(ring, 0);
    (void)pub.publish_in_chunk("large");
    Sub sub(ring, 0);
    const auto log = log_of([&] { EXPECT_EQ(sub.look(), Look::event); });
    const auto cell = log.next("store cell");
    const auto bit = log.next("fetch_or bits");
    const auto fence = log.fence(full, bit);
    EXPECT_LT(log.last("load content"), cell);
    EXPECT_LT(cell, bit) << "a bit that is seen is accounted for";
    EXPECT_TRUE(log.has(bit, release));
    EXPECT_LT(fence, log.next("load stamp", bit));
}

TEST_F(Order, OfReleasingAChunk) {
    Pub pub(ring, 0);
    (void)pub.publish_in_chunk("large");
    Sub sub(ring, 0);
    ASSERT_EQ(sub.look(), Look::event);
    const auto log = log_of([&] { EXPECT_EQ(sub.release(), Released::intact); });
    const auto look = log.next("load chunk");
    EXPECT_LT(log.fence(acquire, Log::none), look) << "after the last use of the payload";
    const auto bit = log.next("fetch_and bits");
    EXPECT_LT(look, bit);
    EXPECT_LT(bit, log.next("store cell"));
    EXPECT_TRUE(log.has(bit, release)) << "the payload was read before it goes";
}

/// Litmus H1 to H4, R_revoke: the allocator's side; model chunk, -DMUT_HAZ_FIRST.
TEST_F(Order, OfTakingAPublishedChunk) {
    Pub pub(ring, 0);
    for (int i = 0; i < 4; ++i) (void)pub.publish_in_chunk("large");
    std::uint32_t chunk = 0;
    const auto log = log_of([&] { (void)pub.writer.take_chunk(1, Deadline::now(), chunk); });
    const auto evict = log.next("cas stamp");
    const auto fence = log.fence(full, evict);
    const auto look = log.next("load bits", fence);
    const auto own = log.next("cas chunk");
    EXPECT_LT(evict, fence);
    EXPECT_LT(look, own) << "nobody holds it, looked at after the eviction";
    EXPECT_TRUE(log.has(evict, acquire) && log.has(evict, release));
    EXPECT_TRUE(log.has(own, acquire)) << "takes over from whoever had it";
    EXPECT_LT(own, log.fence(release, own)) << "before the first byte goes in";
}

/// The same without an eviction: the slot moved on by itself (H4, H5).
TEST_F(Order, OfTakingTheChunkOfASlotThatMovedOn) {
    Pub pub(ring, 0);
    for (int i = 0; i < 4; ++i) (void)pub.publish_in_chunk("large");
    pub.publish_many(8);
    std::uint32_t chunk = 0;
    const auto log = log_of([&] { (void)pub.writer.take_chunk(1, Deadline::now(), chunk); });
    const auto stamp = log.next("load stamp");
    const auto fence = log.fence(full, stamp);
    EXPECT_TRUE(log.has(stamp, acquire));
    EXPECT_LT(fence, log.next("load bits", fence));
    EXPECT_LT(log.next("load bits", fence), log.next("cas chunk"));
}

TEST_F(Order, OfTakingAFreeChunk) {
    Pub pub(ring, 0);
    std::uint32_t chunk = 0;
    const auto taken = log_of([&] { (void)pub.writer.take_chunk(1, Deadline::now(), chunk); });
    EXPECT_TRUE(taken.has(taken.next("cas chunk"), acquire));
    const auto given = log_of([&] { pub.writer.give_back(chunk); });
    EXPECT_TRUE(given.has(given.next("cas chunk"), release));
}

// ---- gates and bells, with a policy that waits
// ---------------------------------------------------

class BlockOrder : public Order {
  protected:
    const TestRing ring{parameters()};
    Log log_of(const std::function<void()>& body) {
        Log log(ring.topic, body);
        text = log.text();
        return log;
    }
};

/// Model gate -DTWOSIDED: the publisher's side.
TEST_F(BlockOrder, OfLookingAtTheGate) {
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    (void)sub.drain();
    const auto log = log_of([&] { (void)pub.publish("a"); });
    const auto tail = log.next("load tail", log.next("load tail")); // the first is claim()'s own
    const auto store = log.next("store gate");
    const auto fence = log.fence(full, store);
    const auto claim = log.next("cas stamp");
    EXPECT_LT(tail, log.next("load attach")) << "an empty table means: up to what was there";
    EXPECT_LT(log.next("load cursor"), store);
    EXPECT_LT(fence, log.next("load attach", fence));
    EXPECT_LT(log.next("load cursor", fence), claim) << "the second look comes before the claim";
    EXPECT_TRUE(log.has(log.next("load attach"), acquire)) << "and then the cursor";
    EXPECT_LT(log.next("load attach"), log.next("load cursor"));
}

/// The joiner's side; model gate -DORDER.
TEST_F(BlockOrder, OfJoining) {
    Pub pub(ring, 0);
    Pub other(ring, 1);
    pub.publish_many(3);
    ring::Reader reader(ring.topic, 0, 1, false, {});
    ring::lease_reader(ring.topic, 0, 1, 1);
    const auto log = log_of([&] { reader.join(Start::all()); });
    const auto cursor = log.next("store cursor");
    const auto attach = log.next("store attach");
    const auto fence = log.fence(full, attach);
    const auto gate = log.next("load gate");
    EXPECT_LT(cursor, attach) << "never attached with somebody else's cursor";
    EXPECT_TRUE(log.has(attach, release));
    EXPECT_LT(fence, gate);
    EXPECT_LT(gate, log.next("load gate", gate)) << "of all publishers";
}

TEST_F(BlockOrder, OfAcknowledging) {
    Pub pub(ring, 0);
    (void)pub.publish("a");
    Sub sub(ring, 0, {.acknowledges = false});
    (void)sub.next();
    const auto log = log_of([&] { sub.reader.acknowledge(1); });
    const auto cursor = log.next("exchange cursor");
    EXPECT_TRUE(log.has(cursor, full));
    EXPECT_TRUE(log.has(log.next("load space_armed", cursor), full));
}

TEST_F(BlockOrder, OfReleasingSpaceInThePool) {
    Pub pub(ring, 0);
    (void)pub.publish_in_chunk("large");
    Sub sub(ring, 0);
    ASSERT_EQ(sub.look(), Look::event);
    const auto log = log_of([&] { (void)sub.release(); });
    const auto bit = log.next("fetch_and bits");
    EXPECT_TRUE(log.has(bit, full));
    EXPECT_TRUE(log.has(log.next("load space_armed", bit), full));
}

/// The sleeper raises `armed`, then looks.
TEST_F(BlockOrder, OfGoingToSleepForEvents) {
    Sub sub(ring, 0);
    const auto log = log_of([&] {
        (void)sub.reader.arm();
        (void)sub.look();
    });
    const auto seen = log.next("load wake");
    const auto armed = log.next("cas armed");
    EXPECT_LT(seen, armed);
    EXPECT_TRUE(log.has(seen, full) && log.has(armed, full));
    EXPECT_TRUE(log.has(log.next("load stamp", armed), full));
}

TEST_F(BlockOrder, OfGoingToSleepForSpace) {
    Pub pub(ring, 0);
    const Sub sub(ring, 0);
    pub.publish_many(8);
    const auto log = log_of([&] { (void)pub.publish("no", std::chrono::milliseconds(1)); });
    const auto armed = log.next("cas space_armed");
    EXPECT_LT(log.next("load space"), armed);
    EXPECT_TRUE(log.has(armed, full));
    EXPECT_TRUE(log.has(log.next("load cursor", armed), full)) << "the look between arm and sleep";
}

/// The ringer: word, wake, and only then `rung`; model park -DNORUNGORDER.
TEST_F(BlockOrder, OfRinging) {
    const auto log = log_of([&] { ring.topic.event_bell().ring(); });
    const auto bump = log.next("fetch_add wake");
    EXPECT_TRUE(log.has(bump, full));
    EXPECT_LT(bump, log.next("load rung"));
    EXPECT_LT(bump, log.next("cas rung"));
}

TEST_F(BlockOrder, OfClosing) {
    const auto log = log_of([&] { ring::set_state(ring.topic, layout::RingState::closed); });
    const auto state = log.next("exchange state");
    EXPECT_TRUE(log.has(state, full));
    EXPECT_LT(state, log.next("fetch_add wake"));
    EXPECT_LT(state, log.next("fetch_add space"));

    Sub sub(ring, 0);
    const auto end = log_of([&] { EXPECT_EQ(sub.look(), Look::closed); });
    const auto look = end.next("load state");
    EXPECT_TRUE(end.has(look, full));
    EXPECT_TRUE(end.has(end.next("load stamp", look), full)) << "a claim from before is seen";
}

TEST_F(BlockOrder, OfReapingAPublisher) {
    Pub pub(ring, 0);
    const auto chunk = pub.fill_chunk({"large"});
    stop(ring, pub, Step::claim, chunk);
    const auto log = log_of([&] { (void)ring::reap_publisher(ring.topic, 0); });
    const auto abort = log.next("cas stamp");
    EXPECT_TRUE(log.has(abort, release));
    EXPECT_LT(abort, log.next("cas tail"));
    EXPECT_LT(abort, log.next("fetch_add wake")) << "who waits for the tombstone is woken after it";
    EXPECT_TRUE(log.has(log.next("cas chunk"), release));
    EXPECT_LT(log.last("cas chunk"), log.next("store publisher")) << "the entry is freed last";
}

} // namespace
} // namespace shmbus::test
