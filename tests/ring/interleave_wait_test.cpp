// Two parties, one thread, continued: joining, going to sleep and closing, each with the other
// party in between at every place.
#include "support/interleave.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;

// ---- a subscriber that joins in the past
// ---------------------------------------------------------

/// Nothing beyond the cursor it came to may be lost, whatever the publisher had cached.
void expect_protected(const TestRing& ring, Pub& pub, Sub& joiner) {
    const Sequence safe = joiner.reader.cursor();
    while (pub.publish("more").outcome == PublishOutcome::published) {
    }
    EXPECT_LE(ring.tail(), safe + 9);
    EXPECT_TRUE(ring.is(safe + 1, SlotState::committed)) << safe + 1 << " is gone";
}

class EitherPublisher : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Interleave, EitherPublisher,
                         testing::Values(Kind::shared, Kind::exclusive), [](const auto& of) {
                             return of.param == Kind::shared ? "shared" : "exclusive";
                         });

TEST_P(EitherPublisher, AJoinerIsSafeWhereverThePublisherIs) {
    for (const Sequence there : {3U, 8U, 9U, 12U, 16U, 17U})
        at_every_access([&](std::size_t n) {
            const TestRing ring(parameters());
            Pub pub(ring, 0, GetParam());
            pub.publish_many(there);
            std::optional<Sub> joiner;
            bool came = false;
            interrupt_at(
                n, [&] { pub.publish_many(3); },
                [&] {
                    came = true;
                    joiner.emplace(ring, 0U);
                });
            if (came) expect_protected(ring, pub, *joiner);
            return came;
        });
}

TEST_P(EitherPublisher, AJoinerIsSafeWhereverItIsItself) {
    for (const Sequence there : {3U, 8U, 9U, 12U, 16U, 17U})
        for (const Sequence more : {1U, 5U, 8U, 20U})
            at_every_access([&](std::size_t n) {
                const TestRing ring(parameters());
                Pub pub(ring, 0, GetParam());
                pub.publish_many(there);
                std::optional<Sub> joiner;
                bool came = false;
                interrupt_at(
                    n, [&] { joiner.emplace(ring, 0U); },
                    [&] {
                        came = true;
                        pub.publish_many(more);
                    });
                expect_protected(ring, pub, *joiner);
                return came;
            });
}

TEST_P(EitherPublisher, WhoeverStartsWithTheLatestMissesNothingThatIsPublishedAfterwards) {
    at_every_access([&](std::size_t n) {
        const TestRing ring(parameters());
        Pub pub(ring, 0, GetParam());
        pub.publish_many(10);
        std::optional<Sub> joiner;
        bool came = false;
        interrupt_at(
            n, [&] { joiner.emplace(ring, 0U, Wish{.start = Start::latest()}); },
            [&] {
                came = true;
                pub.publish_many(3);
            });
        const Sequence from = joiner->reader.position();
        EXPECT_GE(from, 11U);
        EXPECT_LE(from, ring.tail());
        EXPECT_EQ(pub.publish("after").outcome, PublishOutcome::published);
        EXPECT_EQ(joiner->drain().back(), std::to_string(ring.tail() - 1) + " after");
        return came;
    });
}

// ---- sleepers
// ------------------------------------------------------------------------------------

/// Publishes at every point of going to sleep, and goes to sleep at every point of publishing.
TEST_P(EitherPublisher, NoWakeUpIsLost) {
    at_every_access([&](std::size_t n) {
        const TestRing ring(parameters());
        Pub pub(ring, 0, GetParam());
        Sub sub(ring, 0);
        bool came = false;
        std::uint64_t armed_at = 0;
        std::string seen;
        interrupt_at(
            n,
            [&] {
                armed_at = sub.reader.arm();
                seen = sub.next();
            },
            [&] {
                came = true;
                (void)pub.publish("a");
            });
        if (came && seen.empty()) {
            EXPECT_EQ(sub.reader.sleep(armed_at, 5s), base::Woken::look);
        }
        return came;
    });
    at_every_access([&](std::size_t n) {
        const TestRing ring(parameters());
        Pub pub(ring, 0, GetParam());
        Sub sub(ring, 0);
        bool came = false;
        std::uint64_t armed_at = 0;
        std::string seen;
        interrupt_at(
            n, [&] { (void)pub.publish("a"); },
            [&] {
                came = true;
                armed_at = sub.reader.arm();
                seen = sub.next();
            });
        if (came && seen.empty()) {
            EXPECT_EQ(sub.reader.sleep(armed_at, 5s), base::Woken::look);
        }
        return came;
    });
}

/// The same for publishers that wait for room.
TEST(Interleave, NoRoomIsMissed) {
    at_every_access([&](std::size_t n) {
        const TestRing ring(parameters());
        Pub pub(ring, 0);
        Sub sub(ring, 0);
        pub.publish_many(8);
        EXPECT_EQ(sub.look(), Look::event);
        ring::Gate gate(ring.topic, 0);
        bool came = false;
        std::uint64_t armed_at = 0;
        bool room = false;
        interrupt_at(
            n, [&] { sub.reader.acknowledge(1); },
            [&] {
                came = true;
                armed_at = ring.topic.space_bell().arm();
                room = gate.is_past(1);
            });
        const base::Word32 interrupt{0};
        if (came && !room) {
            EXPECT_EQ(ring.topic.space_bell().sleep(armed_at, interrupt, 5s), base::Woken::look);
        }
        return came;
    });
}

// ---- closing
// -------------------------------------------------------------------------------------

TEST_P(EitherPublisher, WhatIsPublishedWhileTheRingIsClosedIsReadOrWasRefused) {
    at_every_access([&](std::size_t n) {
        const TestRing ring(parameters());
        Pub pub(ring, 0, GetParam());
        Sub sub(ring, 0);
        bool came = false;
        Strings seen;
        Published result{};
        interrupt_at(
            n, [&] { result = pub.publish("event"); },
            [&] {
                came = true;
                ring::set_state(ring.topic, layout::RingState::closed);
                seen = sub.drain();
            });
        if (!came) return false;
        const bool ended = times(seen, "closed") == 1;
        const auto later = sub.drain();
        if (ended) {
            EXPECT_EQ(times(later, "event"), 0U) << "after the end";
        }
        EXPECT_EQ(times(seen, "event") + times(later, "event"),
                  result.outcome == PublishOutcome::published ? 1U : 0U);
        EXPECT_EQ(later.back(), "closed");
        return came;
    });
}

} // namespace
} // namespace shmbus::test
