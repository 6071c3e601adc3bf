#include "tools/bench/measure.hpp"

#include "tools/bench/ticks.hpp"

#include <algorithm>
#include <cmath>

namespace shmbus::tools::bench {

void measure(Pair& pair, Player& player, const Effort& effort, Result& result) {
    const auto longest = std::chrono::nanoseconds(effort.longest).count();
    const std::uint64_t until = now_ns() + static_cast<std::uint64_t>(longest);
    Histogram ignored;
    const auto raw = [&] {
        pair.meet();
        return player.raw();
    };
    const auto bus = [&](Histogram& single) {
        pair.meet();
        return player.bus(single);
    };
    (void)raw(); // warm-up of both
    (void)bus(ignored);
    double before = raw();
    // Only the first side's clocks decide which slices count, so it says whether there is another.
    while (pair.agree(result.ratios.size() < effort.wanted && now_ns() < until)) {
        Histogram single;
        const double ns = bus(single);
        const double after = raw();
        const double probe = (before + after) / 2;
        const bool disturbed = std::abs(before - after) > 0.2 * probe;
        before = after;
        if (disturbed) {
            ++result.disturbed;
            continue;
        }
        result.raw_ns.push_back(probe);
        result.bus_ns.push_back(ns);
        result.ratios.push_back(result.is_rate ? probe / ns : ns / probe);
        result.single.add(single);
    }
    pair.meet();
}

} // namespace shmbus::tools::bench
