// Waking: who sleeps, who rings, and that no wake-up is lost. Each wait has a deadline, so that a
// lost wake-up is a failure and not a test that hangs.
#include "ring/bell.hpp"

#include "support/subscriber.hpp"

#include <thread>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using base::Woken;

/// The three words as a new ring has them.
struct Words {
    base::Word64 word{1};
    base::Word64 rung{1};
    base::Word64 armed{0};
    base::Word32 interrupt{0};
    [[nodiscard]] ring::Bell bell() { return {word, rung, armed}; }
};

TEST(Bell, NobodySleepsAtFirst) {
    Words words;
    EXPECT_FALSE(words.bell().somebody_sleeps());
    words.bell().ring_if_needed();
    EXPECT_EQ(words.word.load_acquire(), 1U);
}

TEST(Bell, WhoeverArmedCountsAsAsleepUntilTheNextRing) {
    Words words;
    EXPECT_EQ(words.bell().arm(), 1U);
    EXPECT_TRUE(words.bell().somebody_sleeps());
    words.bell().ring_if_needed();
    EXPECT_EQ(words.word.load_acquire(), 2U);
    EXPECT_FALSE(words.bell().somebody_sleeps()) << "also if the sleeper is stopped for ever";
    words.bell().ring_if_needed();
    EXPECT_EQ(words.word.load_acquire(), 2U);
    EXPECT_EQ(words.bell().arm(), 2U);
    EXPECT_TRUE(words.bell().somebody_sleeps());
}

TEST(Bell, ARingBetweenArmAndSleepIsNotSleptThrough) {
    Words words;
    const auto armed_at = words.bell().arm();
    words.bell().ring();
    EXPECT_EQ(words.bell().sleep(armed_at, words.interrupt, 10s), Woken::look);
}

TEST(Bell, ARingerThatDiedBeforeItsWakeLeavesTheSleepersToTheNextOne) {
    Words words;
    (void)words.bell().arm();
    words.word.fetch_add_seq_cst(1); // and no more
    EXPECT_TRUE(words.bell().somebody_sleeps());
    const auto late = words.bell().arm(); // goes to sleep on the new word
    EXPECT_TRUE(words.bell().somebody_sleeps());
    words.bell().ring();
    EXPECT_EQ(words.bell().sleep(late, words.interrupt, 10s), Woken::look);
    EXPECT_FALSE(words.bell().somebody_sleeps());
}

TEST(Bell, ASlowRingerDoesNotHideWhoArmedSince) {
    Words words;
    (void)words.bell().arm();
    words.word.fetch_add_seq_cst(1); // the slow ringer: bumped to 2, woke
    (void)words.bell().arm();        // on 2
    words.rung.raise_seq_cst(2);     // the slow ringer ends
    EXPECT_TRUE(words.bell().somebody_sleeps());
}

TEST(Bell, AnOldRingerNeverMovesRungBack) {
    Words words;
    words.bell().ring();
    words.bell().ring();
    words.rung.raise_seq_cst(2);
    EXPECT_EQ(words.rung.load_acquire(), 3U);
}

TEST(Bell, SleepEndsWithItsDeadline) {
    Words words;
    EXPECT_EQ(words.bell().sleep(words.bell().arm(), words.interrupt, 10ms), Woken::timed_out);
    EXPECT_EQ(words.bell().sleep(words.bell().arm(), words.interrupt, Deadline::now()),
              Woken::timed_out);
}

TEST(Bell, WakesAllSleepers) {
    Words words;
    constexpr int sleepers = 3;
    std::atomic<int> woken{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < sleepers; ++i)
        threads.emplace_back([&] {
            if (words.bell().sleep(1, words.interrupt, 10s) == Woken::look) ++woken;
        });
    (void)words.bell().arm();
    words.bell().ring();
    threads.clear();
    EXPECT_EQ(woken, sleepers);
}

// ---- through Reader and Writer
// -------------------------------------------------------------------

TEST(Bell, AReaderIsInterruptedOnceNowOrAtItsNextSleep) {
    const TestRing ring(parameters());
    Sub sub(ring, 0);
    sub.reader.interrupt();
    EXPECT_EQ(sub.reader.sleep(sub.reader.arm(), 10s), Woken::interrupted);
    EXPECT_EQ(sub.reader.sleep(sub.reader.arm(), 5ms), Woken::timed_out);
    std::jthread other([&] { sub.reader.interrupt(); });
    EXPECT_EQ(sub.reader.sleep(sub.reader.arm(), 10s), Woken::interrupted);
}

/// What must wake a subscriber that sleeps.
class Wakes : public testing::Test {
  protected:
    const TestRing ring{parameters(FullPolicy::drop_oldest)};
    Sub sub{ring, 0};
    template <class Act> Woken while_asleep(Act act) {
        const auto armed_at = sub.reader.arm();
        EXPECT_EQ(sub.next(), "");
        act();
        return sub.reader.sleep(armed_at, 10s);
    }
};

TEST_F(Wakes, APublishedEvent) {
    Pub pub(ring, 0);
    EXPECT_EQ(while_asleep([&] { (void)pub.publish("a"); }), Woken::look);
    EXPECT_EQ(sub.next(), "1 a");
}

TEST_F(Wakes, ATombstoneLeftByAPeer) {
    Pub pub(ring, 0);
    ring.set(1, SlotState::claimed, 3);
    ring.topic.ring.header().tail.store_release(2);
    pub.publish_many(7);
    EXPECT_EQ(while_asleep([&] { (void)pub.publish("revokes 1"); }), Woken::look);
    EXPECT_EQ(sub.next(), "1-2 overrun"); // 10 took the slot of 2
}

TEST_F(Wakes, ATombstoneLeftByTheDaemon) {
    ring.set(1, SlotState::claimed, 3);
    ring.topic.ring.header().tail.store_release(2);
    EXPECT_EQ(while_asleep([&] { (void)ring::reap_publisher(ring.topic, 3); }), Woken::look);
    EXPECT_EQ(sub.next(), "1-1 aborted");
}

TEST_F(Wakes, TheReapingOfAPublisherThatDiedBeforeItRang) {
    EXPECT_EQ(while_asleep([&] {
                  ring.set(1, SlotState::committed);
                  ring.topic.ring.header().tail.store_release(2);
                  (void)ring::reap_publisher(ring.topic, 3);
              }),
              Woken::look);
}

/// Another subscriber can write there, and then no publisher would ring any more.
TEST_F(Wakes, TheReapingOfASubscriberThatWipedOutWhoIsArmed) {
    EXPECT_EQ(while_asleep([&] {
                  ring.topic.readers.header().armed.store_release(0);
                  ring::reap_reader(ring.topic, 5);
              }),
              Woken::look);
}

TEST_F(Wakes, AChangeOfState) {
    EXPECT_EQ(while_asleep([&] { ring::set_state(ring.topic, layout::RingState::closed); }),
              Woken::look);
    EXPECT_EQ(sub.next(), "closed");
}

/// What must wake a publisher that waits for room; asleep for real, since it looks up by itself.
class MakesRoom : public testing::Test {
  protected:
    const TestRing ring{parameters()};
    Pub pub{ring, 0};
    Sub sub{ring, 0};
    void SetUp() override {
        pub.publish_many(8);
        (void)ring.topic.space_bell().arm(); // as the publisher does
    }
    [[nodiscard]] std::uint64_t rings() const {
        return ring.topic.readers.header().space.load_acquire() - 1;
    }
};

TEST_F(MakesRoom, AnAcknowledgement) {
    (void)sub.next();
    EXPECT_EQ(rings(), 1U);
    (void)sub.next();
    EXPECT_EQ(rings(), 1U) << "nobody sleeps any more";
}

TEST_F(MakesRoom, ASubscriberThatLeaves) {
    ring::reap_reader(ring.topic, 0);
    EXPECT_EQ(rings(), 1U);
}

TEST_F(MakesRoom, TheReleaseOfAChunk) {
    (void)sub.drain();
    ASSERT_EQ(pub.publish_in_chunk("large"), published(9));
    ASSERT_EQ(sub.look(), Look::event);
    sub.reader.acknowledge(9);
    const auto before = rings();
    (void)ring.topic.space_bell().arm();
    (void)sub.release();
    EXPECT_EQ(rings(), before + 1);
}

TEST_F(MakesRoom, AChangeOfState) {
    ring::set_state(ring.topic, layout::RingState::draining);
    EXPECT_EQ(rings(), 1U);
}

} // namespace
} // namespace shmbus::test
