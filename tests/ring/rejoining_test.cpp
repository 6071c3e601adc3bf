// How a subscriber that publishers wait for no more learns of it, and comes back.
#include "ring/gate.hpp"

#include "support/stopped.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

/// Publishes up to what is full, and then once more.
void fill_and_evict(const TestRing& ring, Pub& pub) {
    while (pub.publish("filler").outcome == PublishOutcome::published) {
    }
    age(ring, 60'000);
    EXPECT_EQ(pub.publish("evicts").outcome, PublishOutcome::published);
}

TEST(Rejoining, AnEvictedSubscriberLearnsItOnceAndIsWaitedForAgain) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    fill_and_evict(ring, pub);
    for (int i = 0; i < 11; ++i) (void)pub.publish("more");
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

TEST(Rejoining, AnEvictedSubscriberThatLostNothingIsSimplyBack) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    pub.publish_many(8);
    ring::Gate gate(ring.topic, 0);
    (void)gate.evict_if_stalled(1);
    age(ring, 60'000);
    ASSERT_TRUE(gate.evict_if_stalled(1));
    EXPECT_EQ(sub.drain().size(), 8U);
    pub.publish_many(9);
    EXPECT_EQ(ring.tail(), 17U) << "publishers wait for it again";
}

TEST(Rejoining, WhoWasEvictedForItsChunksLearnsItInOneGap) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    while (pub.publish_in_chunk("x").outcome == PublishOutcome::published) {
    }
    ASSERT_EQ(ring.tail(), 5U);
    age(ring, 60'000);
    for (Sequence s = 5; s <= 7; ++s) EXPECT_EQ(pub.publish_in_chunk("x"), published(s));
    EXPECT_EQ(sub.drain(), (Strings{"1-3 evicted", "4 x", "5 x", "6 x", "7 x"}));
}

/// Another subscriber may have written over its word, and then nobody waits for it.
TEST(Rejoining, ASubscriberWhoseWordIsGoneAnnouncesItselfAgain) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0);
    Sub sub(ring, 0);
    auto& word = ring.topic.readers.entry(0).attach;
    word.store_release(0);
    EXPECT_EQ(sub.next(), "") << "it looks, and is back";
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::full);
    EXPECT_EQ(sub.drain().size(), 8U);

    word.store_release(0);
    pub.publish_many(9);
    EXPECT_EQ(sub.next(), "9-9 overrun");
    const Sequence relied_on = ring.topic.ring.publisher(0).gate.load_acquire();
    while (pub.publish("more").outcome == PublishOutcome::published) {
    }
    EXPECT_EQ(ring.tail(), relied_on + 9) << "publishers wait again";
}

TEST(Rejoining, WhoseEntryIsSomebodyElsesByNowLeavesItAlone) {
    const TestRing ring(parameters(FullPolicy::reject));
    Sub gone(ring, 0);
    const Sub sub(ring, 0, {.token = layout::tokens_per_lease});
    const auto word = layout::attach_word(layout::tokens_per_lease, layout::ReaderMode::gate);
    EXPECT_EQ(gone.next(), "");
    EXPECT_EQ(ring.topic.readers.entry(0).attach.load_acquire(), word);
}

} // namespace
} // namespace shmbus::test
