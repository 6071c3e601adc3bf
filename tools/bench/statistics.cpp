#include "tools/bench/statistics.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace shmbus::tools::bench {

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 != 0) return *middle;
    return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// As many values lie below the median as a fair coin shows heads. So many on either side are left out
// that there is a chance of at most 2.5 % for the median to be among them, each.
Interval interval_of_median(std::vector<double> values) {
    if (values.empty()) return {0, 0};
    std::sort(values.begin(), values.end());
    const auto n = static_cast<double>(values.size());
    std::size_t left_out = 0;
    double heads = std::pow(0.5, n); // the chance of exactly as many heads as are left out
    for (double below = heads; left_out < values.size() / 2; ++left_out) {
        const auto k = static_cast<double>(left_out);
        heads *= (n - k) / (k + 1);
        below += heads;
        if (below > 0.025) break;
    }
    return {values[left_out], values[values.size() - 1 - left_out]};
}

void Histogram::add(std::uint64_t ns) noexcept {
    const auto width = static_cast<unsigned>(std::bit_width(ns >> sub_bits));
    // Below 2^sub_bits a bucket each; above, 2^(sub_bits - 1) buckets for each doubling.
    const std::uint64_t index = (std::uint64_t{width} << sub_bits) + (ns >> width);
    ++buckets_[std::min<std::uint64_t>(index, buckets_.size() - 1)];
    ++count_;
}

void Histogram::add(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
}

std::uint64_t Histogram::percentile(double share) const noexcept {
    if (count_ == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen < std::max<std::uint64_t>(wanted, 1)) continue;
        return (((i & ((1U << sub_bits) - 1)) + 1) << (i >> sub_bits)) - 1;
    }
    return 0;
}

} // namespace shmbus::tools::bench
