// The publisher that has a topic to itself: it must leave what a shared one would.
#include "ring/exclusive_writer.hpp"

#include "support/leaks.hpp"
#include "support/stopped.hpp"
#include "support/subscriber.hpp"

#include <thread>

namespace shmbus::test {
namespace {

constexpr auto drop_oldest = FullPolicy::drop_oldest;
using namespace std::chrono_literals;

/// "b0", "b1", …: several events at once.
struct Batch {
    explicit Batch(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) texts.push_back("b" + std::to_string(i));
    }
    PublishOutcome publish(Pub& pub, Deadline deadline = Deadline::now()) {
        run = {};
        return pub.publish_batch(texts, run, deadline);
    }
    Strings texts;
    ring::Run run;
};

class ExclusiveFirstSequence : public testing::TestWithParam<Sequence> {};
INSTANTIATE_TEST_SUITE_P(ExclusiveWriter, ExclusiveFirstSequence,
                         testing::Values(1, before_wrap, 12'345'678));

TEST_P(ExclusiveFirstSequence, IsWhereTheRingBeginsAndAllFollowDensely) {
    auto p = parameters();
    p.first_sequence = GetParam();
    const TestRing ring(p);
    Pub pub(ring, 0, Kind::exclusive);
    Sub sub(ring, 0);
    for (Sequence s = GetParam(); s < GetParam() + 2000; ++s) {
        ASSERT_EQ(s % 2 == 0 ? pub.publish("x") : pub.publish_in_chunk("x"), published(s));
        ASSERT_EQ(sub.next(), std::to_string(s) + " x");
    }
    EXPECT_EQ(ring.tail(), GetParam() + 2000);
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
}

TEST(ExclusiveWriter, FillsTheWholeRingAndNoMore) {
    const TestRing ring(parameters());
    Pub pub(ring, 0, Kind::exclusive);
    Sub sub(ring, 0);
    for (int lap = 0; lap < 50; ++lap) {
        for (int i = 0; i < 8; ++i) ASSERT_EQ(pub.publish("x").outcome, PublishOutcome::published);
        ASSERT_EQ(pub.publish("x").outcome, PublishOutcome::timed_out);
        ASSERT_EQ(sub.drain().size(), 8U);
    }
}

TEST(ExclusiveWriter, ABatchIsAsManyEventsInOrder) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0, Kind::exclusive);
    Sub sub(ring, 0);
    Batch batch(3);
    for (Sequence s = 1; s < 100; s += 3) {
        ASSERT_EQ(batch.publish(pub), PublishOutcome::published);
        ASSERT_EQ(batch.run.published, 3U);
        ASSERT_EQ(batch.run.last, s + 2);
        ASSERT_EQ(sub.drain(), (Strings{std::to_string(s) + " b0", std::to_string(s + 1) + " b1",
                                        std::to_string(s + 2) + " b2"}));
    }
}

/// And a shared publisher's, which is the same to whoever reads it.
class BatchOf : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Writer, BatchOf, testing::Values(Kind::shared, Kind::exclusive));

TEST_P(BatchOf, MoreThanThereIsRoomForSaysHowFarItCame) {
    const TestRing ring(parameters(FullPolicy::reject));
    Pub pub(ring, 0, GetParam());
    Sub sub(ring, 0);
    Batch batch(20);
    EXPECT_EQ(batch.publish(pub), PublishOutcome::full);
    EXPECT_EQ(batch.run.published, 8U);
    EXPECT_EQ(batch.run.last, 8U);
    EXPECT_EQ(sub.drain().size(), 8U);
    EXPECT_EQ(batch.publish(pub), PublishOutcome::full);
    EXPECT_EQ(batch.run.last, 16U);
}

TEST_P(BatchOf, TakesNoMoreThanThereIsRoomFor) {
    for (Sequence before = 0; before < 8; ++before) {
        const TestRing ring(parameters(FullPolicy::reject));
        Pub pub(ring, 0, GetParam());
        Sub sub(ring, 0);
        pub.publish_many(before);
        Batch batch(20);
        EXPECT_EQ(batch.publish(pub), PublishOutcome::full);
        EXPECT_EQ(batch.run.published, 8 - before);
        EXPECT_EQ(sub.drain().size(), 8U);
    }
}

/// Subscribers that sleep must learn of the first events, or the others never have room.
TEST_P(BatchOf, MoreThanTheRingHoldsWakesWhoCanMakeRoom) {
    const TestRing ring(parameters());
    Pub pub(ring, 0, GetParam());
    Sub sub(ring, 0);
    Batch batch(100);
    std::thread reads([&] {
        for (Sequence seen = 0; seen < 100;) {
            const auto armed_at = sub.reader.arm();
            const auto there = sub.drain();
            seen += there.size();
            if (there.empty() && seen < 100) {
                ASSERT_NE(sub.reader.sleep(armed_at, 30s), base::Woken::timed_out);
            }
        }
    });
    EXPECT_EQ(batch.publish(pub, 30s), PublishOutcome::published);
    EXPECT_EQ(batch.run.published, 100U);
    reads.join();
}

TEST_P(BatchOf, NothingIsNothing) {
    const TestRing ring(parameters());
    Pub pub(ring, 0, GetParam());
    Batch batch(0);
    EXPECT_EQ(batch.publish(pub), PublishOutcome::published);
    EXPECT_EQ(ring.tail(), 1U);
}

TEST_P(BatchOf, IntoAClosedRingPublishesNothing) {
    const TestRing ring(parameters());
    Pub pub(ring, 0, GetParam());
    ring::set_state(ring.topic, layout::RingState::draining);
    Batch batch(3);
    EXPECT_EQ(batch.publish(pub), PublishOutcome::closed);
    EXPECT_EQ(batch.run.published, 0U);
    ring::set_state(ring.topic, layout::RingState::open);
    EXPECT_EQ(batch.publish(pub), PublishOutcome::published);
    EXPECT_EQ(batch.run.published, 3U);
}

TEST(ExclusiveWriter, GoesOnBehindWhatADeadOneClaimed) {
    const TestRing ring(parameters(drop_oldest));
    Pub dead(ring, 1, Kind::exclusive);
    dead.publish_many(3);
    // It claimed three more, and died before it counted them.
    for (Sequence s = 4; s < 7; ++s) ring.set(s, SlotState::claimed, 1);
    EXPECT_EQ(ring::reap_publisher(ring.topic, 1).claims, 3U);
    Pub heir(ring, 0, Kind::exclusive);
    EXPECT_EQ(heir.publish("a"), published(7));
    Sub sub(ring, 0);
    const auto seen = sub.drain();
    ASSERT_EQ(seen.size(), 5U);
    EXPECT_EQ(seen[3], "4-6 aborted");
    EXPECT_EQ(seen[4], "7 a");
}

TEST(ExclusiveWriter, IsFollowedByASharedOneThatCountsWhatItClaimed) {
    const TestRing ring(parameters(drop_oldest));
    Pub dead(ring, 1, Kind::exclusive);
    dead.publish_many(3);
    for (Sequence s = 4; s < 7; ++s) ring.set(s, SlotState::claimed, 1);
    (void)ring::reap_publisher(ring.topic, 1);
    Pub heir(ring, 0);
    EXPECT_EQ(heir.publish("a"), published(7));
}

TEST(ExclusiveWriter, SaysWhenARingIsNotWhatItShouldBe) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0, Kind::exclusive);
    ring.set(3, SlotState::claimed, 5);
    Batch batch(8);
    EXPECT_EQ(batch.publish(pub), PublishOutcome::damaged);
    EXPECT_EQ(batch.run.published, 2U);
}

TEST(ExclusiveWriter, AChunkThatIsNoLongerItsOwnCostsTheEvent) {
    const TestRing ring(parameters(drop_oldest));
    Pub pub(ring, 0, Kind::exclusive);
    const auto chunk = pub.fill_chunk({"large"});
    ring.topic.ring.chunk_word(chunk).store_release(0);
    EXPECT_EQ(pub.publish_filled(chunk, {"large"}).outcome, PublishOutcome::revoked);
    EXPECT_EQ(pub.publish("a"), published(2));
    Sub sub(ring, 0);
    EXPECT_EQ(sub.drain(), (Strings{"1-1 aborted", "2 a"}));
}

} // namespace
} // namespace shmbus::test
