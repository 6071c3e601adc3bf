// That torture does not hold against the bus what happens while it stands still itself, and waits for long enough.
#include "tools/torture/schedule.hpp"
#include "tools/torture/vigil.hpp"
#include "tools/torture/worker.hpp"
#include "tools/torture_checker_fixture.hpp"

namespace shmbus::tools::torture {
namespace {

using namespace std::chrono_literals;

const Vigil::Clock::time_point start{1'000s};

TEST(TortureVigil, GoesByTheClock) {
    Vigil vigil(start);
    for (auto now = start; now < start + 60s; now += Vigil::longest_round) {
        EXPECT_FALSE(vigil.look(now));
        EXPECT_EQ(vigil.time(), now);
    }
}

TEST(TortureVigil, StandsStillWhileItIsAbsent) {
    Vigil vigil(start);
    EXPECT_FALSE(vigil.look(start + 2s));
    const auto absence = vigil.look(start + 37s);
    ASSERT_TRUE(absence);
    EXPECT_EQ(absence->from, start + 2s);
    EXPECT_EQ(absence->until, start + 37s);
    EXPECT_EQ(vigil.time(), start + 3s);
    EXPECT_FALSE(vigil.look(start + 38s));
    EXPECT_EQ(vigil.time(), start + 4s);
    EXPECT_TRUE(vigil.look(start + 100s)); // again
    EXPECT_EQ(vigil.time(), start + 5s);
}

TEST(TorturePatience, IsLongerThanWhatTakesItsTime) {
    EXPECT_GE(longest_wait, patience + BusOptions{}.request_timeout + Schedule::longest_stop);
    EXPECT_GE(time_to_leave, 2 * longest_wait);
    EXPECT_GT(Vigil::longest_round, BusOptions{}.request_timeout);
}

TEST(TorturePatience, InsistsByTheClockThatItIsGiven) {
    auto now = start;
    int tries = 0;
    const auto busy = [&]() -> int {
        ++tries;
        now += patience / 2;
        throw Error(Errc::busy, "busy");
    };
    EXPECT_THROW(insist(false, busy, patience, [&] { return now; }), Error);
    EXPECT_EQ(tries, 2);
}

class TortureExcuse : public TortureChecker {
  protected:
    static constexpr std::uint64_t from = 5'000;
    static constexpr std::uint64_t until = 9'000;
    void at(std::uint64_t time, Party party, Said said, std::uint64_t number,
            std::uint8_t detail = 0) {
        checker_.take(party, {.sequence = said == Said::refused ? 0U : 1U,
                              .number = number,
                              .time_ns = time,
                              .said = said,
                              .detail = detail});
    }
};

TEST_F(TortureExcuse, HoldsForItsTime) {
    EXPECT_FALSE(checker_.is_excused(from));
    checker_.excuse(from, until);
    EXPECT_FALSE(checker_.is_excused(from - 1));
    EXPECT_TRUE(checker_.is_excused(from));
    EXPECT_TRUE(checker_.is_excused(until));
    EXPECT_FALSE(checker_.is_excused(until + 1));
    EXPECT_FALSE(checker_.is_excused(0));
}

TEST_F(TortureExcuse, IsOneForWhoeverWaitsInVain) {
    constexpr auto timed_out = static_cast<std::uint8_t>(PublishOutcome::timed_out);
    checker_.excuse(from, until);
    intend(out_, 1);
    at(from, out_, Said::refused, 1, timed_out);
    at(from, in_, Said::stuck, 1);
    publish(out_, 2, 1);
    at(until, out_, Said::durable, 0, static_cast<std::uint8_t>(Durability::timed_out));
    expect_none();
    at(until + 1, in_, Said::stuck, 1);
    expect(1, "in waits for this one");
    SetUp();
    checker_.excuse(from, until);
    intend(out_, 1);
    at(until + 1, out_, Said::refused, 1, timed_out);
    expect(0, "could not publish event 1");
}

TEST_F(TortureExcuse, IsNoneForAnythingElse) {
    checker_.excuse(from, until);
    intend(out_, 1);
    at(from, out_, Said::refused, 1, static_cast<std::uint8_t>(PublishOutcome::full));
    expect(0, "could not publish event 1");
}

TEST_F(TortureExcuse, ANamedPublisherGoesOnBehindIt) {
    use({}, false, true);
    checker_.excuse(from, until);
    publish(out_, 1, 1);
    intend(out_, 2);
    at(from, out_, Said::refused, 2, static_cast<std::uint8_t>(PublishOutcome::timed_out));
    publish(out_, 3, 2);
    deliver(in_, 1, out_, 1);
    deliver(in_, 2, out_, 3);
    expect_none();
}

} // namespace
} // namespace shmbus::tools::torture
