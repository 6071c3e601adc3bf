#include "tools/bench/statistics.hpp"

#include <gtest/gtest.h>
#include <numeric>

namespace shmbus::tools::bench {
namespace {

// 0, 1, …, n - 1, the last first.
std::vector<double> numbers(std::size_t n) {
    std::vector<double> all(n);
    std::iota(all.rbegin(), all.rend(), 0.0);
    return all;
}

TEST(Median, IsTheMiddleOne) {
    EXPECT_EQ(median({}), 0);
    EXPECT_EQ(median({7}), 7);
    EXPECT_EQ(median({9, 1, 5}), 5);
    EXPECT_EQ(median({1, 1'000'000, 2}), 2);
}

TEST(Median, IsBetweenTheMiddleTwo) {
    EXPECT_EQ(median({4, 1}), 2.5);
    EXPECT_EQ(median({8, 2, 100, 1}), 5);
    EXPECT_EQ(median({3, 3, 3, 3}), 3);
}

// Ranks as tables of the sign test have them.
TEST(IntervalOfMedian, LeavesOutWhatTheSignTestAllows) {
    const auto expect = [](std::size_t n, double low, double high) {
        const auto interval = interval_of_median(numbers(n));
        EXPECT_EQ(interval.low, low) << n;
        EXPECT_EQ(interval.high, high) << n;
    };
    expect(6, 0, 5);
    expect(8, 0, 7);
    expect(9, 1, 7);
    expect(10, 1, 8);
    expect(20, 5, 14);
    expect(40, 13, 26);
    expect(100, 39, 60);
}

TEST(IntervalOfMedian, IsAllThereIsOfAFew) {
    for (std::size_t n = 1; n < 6; ++n) {
        const auto interval = interval_of_median(numbers(n));
        EXPECT_EQ(interval.low, 0) << n;
        EXPECT_EQ(interval.high, static_cast<double>(n - 1)) << n;
    }
    EXPECT_EQ(interval_of_median({}).low, 0);
    EXPECT_EQ(interval_of_median({}).high, 0);
}

TEST(Histogram, IsEmptyAtFirst) { EXPECT_EQ(Histogram().percentile(0.5), 0U); }

TEST(Histogram, IsExactForSmallDurations) {
    Histogram histogram;
    for (std::uint64_t ns = 1; ns <= 100; ++ns) histogram.add(ns);
    EXPECT_EQ(histogram.percentile(0), 1U);
    EXPECT_EQ(histogram.percentile(0.01), 1U);
    EXPECT_EQ(histogram.percentile(0.5), 50U);
    EXPECT_EQ(histogram.percentile(0.99), 99U);
    EXPECT_EQ(histogram.percentile(0.999), 100U);
    EXPECT_EQ(histogram.percentile(1), 100U);
}

TEST(Histogram, IsNeverTooLowNorMuchTooHigh) {
    for (std::uint64_t ns = 1; ns < std::uint64_t{1} << 62U; ns += ns / 3 + 1) {
        Histogram histogram;
        histogram.add(ns);
        const std::uint64_t found = histogram.percentile(0.5);
        EXPECT_GE(found, ns);
        EXPECT_LE(found - ns, ns / 128) << ns;
    }
}

TEST(Histogram, TakesWhatNoClockShows) {
    Histogram histogram;
    histogram.add(0);
    histogram.add(~std::uint64_t{0});
    EXPECT_EQ(histogram.percentile(0.5), 0U);
    EXPECT_EQ(histogram.percentile(1), ~std::uint64_t{0});
}

TEST(Histogram, AddsAnother) {
    Histogram one;
    Histogram other;
    for (int i = 0; i < 98; ++i) one.add(10);
    other.add(20);
    other.add(5'000);
    one.add(other);
    EXPECT_EQ(one.percentile(0.98), 10U);
    EXPECT_EQ(one.percentile(0.99), 20U);
    EXPECT_GE(one.percentile(1), 5'000U);
    EXPECT_EQ(other.percentile(0.5), 20U) << "which stays as it is";
}

} // namespace
} // namespace shmbus::tools::bench
