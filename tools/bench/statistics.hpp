// What is left of many noisy slices: medians, an interval, percentiles.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace shmbus::tools::bench {

double median(std::vector<double> values);

/// A confidence interval of the median of at least 95 %, from order statistics: no assumption on the
/// noise. Of fewer than six values it is all they span, which is less certain.
struct Interval {
    double low;
    double high;
};
Interval interval_of_median(std::vector<double> values);

/// Durations in buckets 1/128 of their size wide or less.
class Histogram {
  public:
    void add(std::uint64_t ns) noexcept;
    void add(const Histogram& other) noexcept;
    /// The upper end of the bucket in which that share of the durations ends; 0 when empty.
    [[nodiscard]] std::uint64_t percentile(double share) const noexcept;

  private:
    static constexpr unsigned sub_bits = 8;
    std::array<std::uint64_t, 64 << sub_bits> buckets_{};
    std::uint64_t count_ = 0;
};

} // namespace shmbus::tools::bench
