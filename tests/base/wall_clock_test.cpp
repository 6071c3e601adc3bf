#include "base/wall_clock.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

namespace shmbus::base {
namespace {

/// How far a clock is outside of two looks at the kernel's, one before and one after, in ns.
std::vector<std::uint64_t> errors_of(WallClock& clock, std::size_t looks) {
    std::vector<std::uint64_t> errors;
    while (errors.size() < looks) {
        const std::uint64_t before = wall_ns();
        const std::uint64_t now = clock.now_ns();
        const std::uint64_t after = wall_ns();
        errors.push_back(now < before ? before - now : now > after ? now - after : 0);
    }
    std::sort(errors.begin(), errors.end());
    return errors;
}

TEST(WallClock, StaysWithinAMicrosecondOfTheKernels) {
    WallClock clock;
    const auto errors = errors_of(clock, 1'000'000); // some hundred times as long as it asks anew
    EXPECT_LT(errors[errors.size() / 2], 500U);
    EXPECT_LT(errors[errors.size() * 999 / 1000], 1'000U);
}

TEST(WallClock, AsksEachTimeWhereTheCounterIsNotTrusted) {
    WallClock clock(false);
    EXPECT_EQ(errors_of(clock, 10'000).back(), 0U);
}

TEST(WallClock, IsRightAtTheFirstLookAndAfterAPause) {
    WallClock clock;
    EXPECT_EQ(errors_of(clock, 1).back(), 0U);
    (void)errors_of(clock, 100'000);
    for (const auto until = monotonic_ns() + 150'000'000; monotonic_ns() < until;) relax();
    EXPECT_EQ(errors_of(clock, 1).back(), 0U) << "it asked again";
}

} // namespace
} // namespace shmbus::base
