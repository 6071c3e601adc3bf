#include "tools/bench/measure.hpp"

#include <algorithm>
#include <cmath>

namespace shmbus::tools::bench {

void measure(Pair& pair, Player& player, std::size_t wanted, Result& result) {
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
    // Both sides run the same number of slices: only the first side's clocks decide which count.
    for (std::size_t slice = 0; slice < 2 * wanted; ++slice) {
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
