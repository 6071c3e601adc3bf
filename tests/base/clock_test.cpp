#include "base/clock.hpp"

#include <chrono>
#include <gtest/gtest.h>

namespace shmbus::base {
namespace {

TEST(Clock, WallTimeIsSystemTime) {
    using namespace std::chrono;
    const auto before = system_clock::now().time_since_epoch();
    const nanoseconds now{wall_ns()};
    EXPECT_GE(now, before);
    EXPECT_LE(now, system_clock::now().time_since_epoch());
}

TEST(Clock, MonotonicTimeIsSteadyTime) {
    using namespace std::chrono;
    const auto before = steady_clock::now().time_since_epoch();
    const nanoseconds now{monotonic_ns()};
    EXPECT_GE(now, before);
    EXPECT_LE(now, steady_clock::now().time_since_epoch());
}

TEST(Clock, CoarseMillisecondsAreTheMonotonicClockAndNotAheadOfIt) {
    const auto coarse = coarse_ms();
    const auto fine = static_cast<std::uint32_t>(monotonic_ns() / 1'000'000);
    EXPECT_LE(fine - coarse, 60'000U);
    relax();
}

} // namespace
} // namespace shmbus::base
