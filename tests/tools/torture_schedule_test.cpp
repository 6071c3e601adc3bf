#include "tools/torture/schedule.hpp"
#include "tools/torture/silence.hpp"

#include <gtest/gtest.h>
#include <set>

namespace shmbus::tools::torture {
namespace {

std::vector<Deed> deeds(std::uint64_t seed, std::size_t count) {
    Schedule schedule(seed);
    std::vector<Deed> deeds;
    for (std::size_t i = 0; i < count; ++i) deeds.push_back(schedule.next());
    return deeds;
}

bool same(const Deed& a, const Deed& b) {
    return a.at == b.at && a.kind == b.kind && a.target == b.target && a.whom == b.whom &&
           a.how_long == b.how_long;
}

TEST(TortureSchedule, FollowsFromTheSeed) {
    const auto some = deeds(7, 500);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), deeds(7, 500).begin(), same));
    EXPECT_FALSE(std::equal(some.begin(), some.end(), deeds(8, 500).begin(), same));
}

TEST(TortureSchedule, HasEverythingAndGoesUp) {
    std::set<std::pair<Deed::Kind, Target>> seen;
    std::chrono::milliseconds last{0};
    for (const Deed& deed : deeds(1, 2'000)) {
        EXPECT_GT(deed.at, last);
        last = deed.at;
        EXPECT_LE(deed.how_long, Schedule::longest_stop);
        seen.emplace(deed.kind, deed.target);
    }
    EXPECT_EQ(seen.size(), 9U);
}

TEST(TortureSilence, IsFromTheKillToTheNextEvent) {
    Silence silence(2);
    silence.killed(Target::publisher, 0, 1'000);
    silence.delivered(0, 900); // said late
    silence.delivered(1, 5'000);
    EXPECT_EQ(silence.longest_ns(Target::publisher), 0U);
    silence.delivered(0, 1'300);
    silence.delivered(0, 9'000); // no kill before that
    EXPECT_EQ(silence.longest_ns(Target::publisher), 300U);
    silence.killed(Target::publisher, 0, 10'000);
    silence.delivered(0, 10'200);
    EXPECT_EQ(silence.longest_ns(Target::publisher), 300U);
}

TEST(TortureSilence, OfTheDaemonIsThatOfEachTopic) {
    Silence silence(2);
    silence.killed(Target::daemon, 0, 1'000);
    silence.delivered(0, 1'100);
    silence.delivered(1, 1'400);
    EXPECT_EQ(silence.longest_ns(Target::daemon), 400U);
}

TEST(TortureSilence, SaysNothingWhileSomebodyIsStopped) {
    Silence silence(2);
    silence.killed(Target::publisher, 0, 1'000);
    silence.excused(Target::subscriber, 0, 2'000);
    silence.killed(Target::publisher, 0, 1'500);
    silence.delivered(0, 3'000);
    EXPECT_EQ(silence.longest_ns(Target::publisher), 0U);
    silence.killed(Target::publisher, 0, 4'000);
    silence.delivered(0, 4'001);
    EXPECT_EQ(silence.longest_ns(Target::publisher), 1U);
}

} // namespace
} // namespace shmbus::tools::torture
