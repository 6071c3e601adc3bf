// Death after every single access: the memory is copied as it is just before access n, for every n,
// and in that copy the daemon reaps whoever was at work. Everything must be had back, and whoever
// is left goes on with the truth.
#include "support/leaks.hpp"
#include "support/recorder.hpp"
#include "support/stopped.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {
namespace {

using Body = std::function<void(Pub& mortal, Sub& reader)>;

struct Case {
    const char* name;
    Body prepare;
    Body body;
    Kind kind = Kind::shared;
};

void nothing(Pub&, Sub&) {}

const std::vector<Case>& lives() {
    static const std::vector<Case> all{
        {"publish", nothing, [](Pub& pub, Sub&) { (void)pub.publish("mortal"); }},
        {"lap", [](Pub& pub, Sub&) { pub.publish_many(8); },
         [](Pub& pub, Sub&) { (void)pub.publish("mortal"); }},
        {"chunk", nothing, [](Pub& pub, Sub&) { (void)pub.publish_in_chunk("mortal"); }},
        {"give_back", nothing,
         [](Pub& pub, Sub&) {
             const auto chunk = pub.fill_chunk({"x"});
             (void)pub.fill_chunk({"y"});
             pub.writer.give_back(chunk);
         }},
        {"evict",
         [](Pub& pub, Sub&) {
             for (int i = 0; i < 4; ++i) (void)pub.publish_in_chunk("old");
         },
         [](Pub& pub, Sub&) { (void)pub.publish_in_chunk("mortal"); }},
        {"moved_on",
         [](Pub& pub, Sub&) {
             for (int i = 0; i < 4; ++i) (void)pub.publish_in_chunk("old");
             pub.publish_many(8);
         },
         [](Pub& pub, Sub&) { (void)pub.publish_in_chunk("mortal"); }},
        {"read", [](Pub& pub, Sub&) { (void)pub.publish_in_chunk("large"); },
         [](Pub&, Sub& sub) { (void)sub.next(); }},
        {"wait", nothing,
         [](Pub& pub, Sub& sub) {
             (void)sub.reader.arm();
             (void)pub.publish("wakes");
         }},
        {"exclusive", nothing, [](Pub& pub, Sub&) { (void)pub.publish("mortal"); },
         Kind::exclusive},
        {"exclusive_lap", [](Pub& pub, Sub&) { pub.publish_many(8); },
         [](Pub& pub, Sub&) {
             (void)pub.publish_batch({"mortal", "and", "more"});
         },
         Kind::exclusive},
        {"exclusive_chunk", nothing, [](Pub& pub, Sub&) { (void)pub.publish_in_chunk("mortal"); },
         Kind::exclusive},
        {"exclusive_wait", nothing,
         [](Pub& pub, Sub& sub) {
             (void)sub.reader.arm();
             (void)pub.publish_batch({"wakes", "once"});
         },
         Kind::exclusive},
    };
    return all;
}

class Kill : public testing::TestWithParam<std::tuple<std::size_t, FullPolicy>> {
  protected:
    [[nodiscard]] const Case& life() const { return lives().at(std::get<0>(GetParam())); }

    /// Runs the life in a new ring, and `at_death` on a copy made just before access n; whether it
    /// has that many.
    bool live_until(std::size_t n, const std::function<void(const TestRing&)>& at_death) {
        const TestRing ring(parameters(std::get<1>(GetParam())));
        Pub mortal(ring, 1, life().kind);
        Sub reader(ring, 3, {.lossy = true});
        life().prepare(mortal, reader);
        bool died = false;
        interrupt_at(
            n, [&] { life().body(mortal, reader); },
            [&] {
                died = true;
                at_death(TestRing(ring));
            });
        return died;
    }
};

INSTANTIATE_TEST_SUITE_P(Ring, Kill,
                         testing::Combine(testing::Range(std::size_t{0}, lives().size()),
                                          testing::Values(FullPolicy::block,
                                                          FullPolicy::drop_oldest)),
                         [](const auto& of) {
                             return std::string(lives().at(std::get<0>(of.param)).name) +
                                    (std::get<1>(of.param) == FullPolicy::block ? "_block"
                                                                                : "_drop_oldest");
                         });

void bury(const ring::Topic& topic) {
    (void)ring::reap_publisher(topic, 1);
    ring::reap_reader(topic, 3);
}

/// The others go on: nothing is in their way, nothing is missing.
void go_on(const TestRing& ring) {
    Pub pub(ring, 0);
    Sub all(ring, 0);
    const Sequence first = all.reader.position();
    Strings seen = all.drain();
    const Sequence next = all.reader.position();
    EXPECT_EQ(ring.tail(), next);
    EXPECT_LE(next - first, 8U);
    for (Sequence i = 0; i < 20; ++i) {
        const auto result = i % 2 == 0 ? pub.publish("on") : pub.publish_in_chunk("on");
        ASSERT_EQ(result, published(next + i));
        ASSERT_EQ(all.drain(), Strings{std::to_string(next + i) + " on"});
    }
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
}

TEST_P(Kill, AtAnyAccessLeavesNothingBehind) {
    std::size_t n = 0;
    while (live_until(n, [&](const TestRing& corpse) {
        SCOPED_TRACE("killed before access " + std::to_string(n));
        bury(corpse.topic);
        go_on(corpse);
    }))
        ++n;
    EXPECT_GT(n, 3U);
    RecordProperty("deaths", static_cast<int>(n));
}

/// It lived long enough to commit, or it did not: all who ask get the same answer.
TEST_P(Kill, AtAnyAccessLeavesAnEventOrATombstoneOrNothing) {
    std::size_t n = 0;
    while (live_until(n, [&](const TestRing& corpse) {
        SCOPED_TRACE("killed before access " + std::to_string(n));
        Sub early(corpse, 5);
        Strings seen = early.drain();
        bury(corpse.topic);
        for (const auto& more : early.drain()) seen.push_back(more);
        Sub late(corpse, 6);
        const auto later = late.drain();
        ASSERT_GE(seen.size(), later.size());
        EXPECT_TRUE(std::equal(later.rbegin(), later.rend(), seen.rbegin()));
    }))
        ++n;
}

/// The daemon dies as well, before each access of its own; the next daemon starts over.
TEST_P(Kill, OfTheDaemonInTheMiddleIsMadeGoodByTheNextOne) {
    std::size_t n = 0;
    while (live_until(n, [&](const TestRing& corpse) {
        const std::size_t accesses = count_accesses([&] { bury(TestRing(corpse).topic); });
        // Thousands, most of them alike: a prime step sees each kind.
        for (std::size_t m = n % 7; m < accesses; m += 7) {
            const TestRing again(corpse);
            interrupt_at(
                m, [&] { bury(again.topic); },
                [&] {
                    SCOPED_TRACE("killed before access " + std::to_string(n) + ", daemon before " +
                                 std::to_string(m));
                    const TestRing second(again);
                    bury(second.topic);
                    go_on(second);
                });
        }
    }))
        n += 3;
}

/// A subscriber that sleeps when a publisher dies is woken by the daemon, if there is anything.
TEST_P(Kill, NeverLeavesASleeperWithSomethingToRead) {
    std::size_t n = 0;
    while (live_until(n, [&](const TestRing& corpse) {
        SCOPED_TRACE("killed before access " + std::to_string(n));
        Sub sleeper(corpse, 5);
        (void)sleeper.drain();
        const auto armed_at = sleeper.reader.arm();
        if (!sleeper.next().empty()) return;
        bury(corpse.topic);
        EXPECT_NE(corpse.topic.ring.header().wake.load_acquire(), armed_at);
    }))
        ++n;
}

} // namespace
} // namespace shmbus::test
