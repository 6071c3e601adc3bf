// Two parties, one thread: before each access of the one the other does a whole action. So every
// place where a peer, a subscriber or the daemon can come in between is tried, one by one.
#include "support/interleave.hpp"
#include "support/leaks.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

constexpr auto drop_oldest = FullPolicy::drop_oldest;

// ---- a publisher that is overtaken
// ---------------------------------------------------------------

/// A peer runs more than a lap ahead in the middle of a publish: the claim is revoked, the commit
/// fails, the event gets a later sequence, once.
TEST(Interleave, ALateOwnersCommitFailsAndItPublishesAgain) {
    std::size_t revoked = 0;
    at_every_access([&](std::size_t n) {
        const TestRing ring(parameters(drop_oldest));
        Pub late(ring, 0);
        Pub peer(ring, 1);
        Sub sub(ring, 0);
        bool came = false;
        Strings seen;
        Published result{};
        interrupt_at(
            n, [&] { result = late.publish("late"); },
            [&] {
                came = true;
                const Sequence before = ring.tail();
                for (int i = 0; i < 20; ++i) {
                    EXPECT_EQ(peer.publish("peer").outcome, PublishOutcome::published);
                    for (auto& one : sub.drain()) seen.push_back(one);
                }
                if (ring.tail() != before + 20) ++revoked;
            });
        for (auto& one : sub.drain()) seen.push_back(one);
        EXPECT_EQ(result.outcome, PublishOutcome::published);
        // Too late to be read after the lap, if it was committed before it.
        if (result.sequence > 1) {
            EXPECT_EQ(times(seen, "late"), 1U);
        }
        EXPECT_LE(times(seen, "late"), 1U);
        EXPECT_EQ(sub.reader.position(), ring.tail());
        EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
        return came;
    });
    EXPECT_GT(revoked, 5U) << "from the claim to the commit";
}

/// The same with a chunk, which a peer may take meanwhile.
class LateChunk : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Interleave, LateChunk, testing::Bool());

TEST_P(LateChunk, IsTakenBackOrGone) {
    const bool peer_takes_all = GetParam();
    std::size_t gone = 0;
    at_every_access([&](std::size_t n) {
        const TestRing ring(parameters(drop_oldest));
        Pub late(ring, 0);
        Pub peer(ring, 1);
        Sub sub(ring, 0);
        const auto chunk = late.fill_chunk({"late"});
        bool came = false;
        Published result{};
        interrupt_at(
            n, [&] { result = late.publish_filled(chunk, {"late"}); },
            [&] {
                came = true;
                peer.publish_many(20);
                while (peer_takes_all && peer.fill_chunk({"peer"}) != layout::no_chunk) {
                }
            });
        if (result.outcome == PublishOutcome::revoked) {
            ++gone;
            EXPECT_EQ(ring.chunk(chunk), Stamp::chunk(layout::ChunkState::owned, 0, 1));
        } else if (result.outcome == PublishOutcome::published && result.sequence > 1) {
            EXPECT_EQ(times(sub.drain(), "late"), 1U);
        }
        EXPECT_TRUE(result.outcome == PublishOutcome::published ||
                    result.outcome == PublishOutcome::revoked);
        EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
        return came;
    });
    EXPECT_EQ(gone > 0, peer_takes_all);
}

/// The daemon reaps a publisher that it believes dead, in the middle of its publish.
TEST(Interleave, AWriterThatWasReapedAliveDoesNoHarm) {
    at_every_access([&](std::size_t n) {
        const TestRing ring(parameters(drop_oldest));
        Pub undead(ring, 0);
        Pub peer(ring, 1);
        Sub sub(ring, 0);
        bool came = false;
        Published result{};
        interrupt_at(
            n, [&] { result = undead.publish_in_chunk("undead"); },
            [&] {
                came = true;
                (void)ring::reap_publisher(ring.topic, 0);
                (void)peer.publish("peer");
            });
        const auto seen = sub.drain();
        EXPECT_EQ(times(seen, "undead"), result.outcome == PublishOutcome::published ? 1U : 0U);
        EXPECT_EQ(times(seen, "peer"), came ? 1U : 0U);
        EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
        return came;
    });
}

// ---- a subscriber that is overtaken
// --------------------------------------------------------------

struct Reading {
    bool in_chunk;
    bool with_key;
};
class Overtaken : public testing::TestWithParam<Reading> {};
INSTANTIATE_TEST_SUITE_P(Interleave, Overtaken,
                         testing::Values(Reading{false, false}, Reading{false, true},
                                         Reading{true, false}, Reading{true, true}));

/// Publishers overwrite, or take the chunk of, what it is just reading.
TEST_P(Overtaken, ASubscriberGetsTheEventOrAGapAndNeverAMixture) {
    for (const Sequence overwrites : {8U, 9U, 12U})
        at_every_access([&](std::size_t n) {
            const TestRing ring(parameters(drop_oldest));
            Pub pub(ring, 0);
            Sub sub(
                ring, 0,
                {.key = GetParam().with_key ? std::optional<std::string>("key") : std::nullopt});
            const What old{"old old old old", "key"};
            const What fresh{"new new new new", "key"};
            const auto publish = [&](const What& what) {
                return GetParam().in_chunk ? pub.publish_in_chunk(what) : pub.publish(what);
            };
            (void)publish(old);
            (void)publish(old);
            bool came = false;
            Strings seen;
            interrupt_at(
                n, [&] { seen.push_back(sub.next()); },
                [&] {
                    came = true;
                    for (Sequence i = 0; i < overwrites; ++i) (void)publish(fresh);
                });
            for (auto& one : sub.drain()) seen.push_back(one);
            Sequence next = 1;
            for (const auto& one : seen) {
                if (one.empty() || one == "skipped") continue;
                EXPECT_EQ(one.rfind(std::to_string(next), 0), 0U) << one;
                const auto dash = one.find('-');
                const bool is_gap = one.find("overrun") != one.npos;
                next = (is_gap ? std::stoull(one.substr(dash + 1)) : next) + 1;
                if (!is_gap) {
                    EXPECT_TRUE(one.find(next <= 3 ? " old old old old" : " new new new new") !=
                                one.npos)
                        << one;
                    EXPECT_EQ(one.find("revoked"), one.npos);
                }
            }
            EXPECT_EQ(next, ring.tail());
            EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
            return came;
        });
}

/// The hold of a chunk is revoked while its key is compared: not silently left out.
TEST(Interleave, AKeyThatWasOverwrittenIsNotTakenForAnother) {
    at_every_access([&](std::size_t n) {
        auto p = parameters(drop_oldest);
        p.pool_bytes = 12'288;
        p.hold_timeout_ms = 0;
        const TestRing ring(p);
        Pub pub(ring, 0);
        Sub sub(ring, 0, {.key = "mine"});
        (void)pub.publish_in_chunk({"a", "mine", 0, 0});
        bool came = false;
        Strings seen;
        interrupt_at(
            n, [&] { seen.push_back(sub.next()); },
            [&] {
                came = true;
                (void)pub.publish_in_chunk({"b", "other", 0, 0});
            });
        for (auto& one : sub.drain()) seen.push_back(one);
        EXPECT_TRUE(seen.at(0).rfind('1', 0) == 0 || seen.at(1).rfind('1', 0) == 0);
        return came;
    });
}

// ---- a chunk between a subscriber and a publisher
// ------------------------------------------------

TEST(Interleave, AChunkThatWasHeldInTimeIsNotTaken) {
    std::size_t held = 0;
    at_every_access([&](std::size_t n) {
        auto p = parameters(drop_oldest);
        p.pool_bytes = 12'288;
        const TestRing ring(p);
        Pub pub(ring, 0);
        Sub sub(ring, 0);
        (void)pub.publish_in_chunk("old");
        bool came = false;
        Look look{};
        std::uint32_t chunk = layout::no_chunk;
        interrupt_at(
            n, [&] { chunk = pub.fill_chunk({"new"}); },
            [&] {
                came = true;
                look = sub.look();
            });
        if (came && look == Look::event) {
            ++held;
            EXPECT_EQ(sub.text(), "old");
            EXPECT_EQ(chunk, layout::no_chunk);
            EXPECT_EQ(sub.release(), Released::intact);
        } else if (came) {
            EXPECT_EQ(look, Look::gap);
            EXPECT_NE(chunk, layout::no_chunk);
        }
        return came;
    });
    EXPECT_GT(held, 3U);
}

} // namespace
} // namespace shmbus::test
