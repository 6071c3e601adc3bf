// One case: slices of the bare probe and of the bus, in turn, in the same two processes.
//
// Probe, bus, probe, bus, …, probe: each slice of the bus stands between two of the probe. A slice
// whose two probes disagree by more than a fifth was disturbed and does not count; each of the others
// gives one ratio to the mean of its probes. Absolute times say something about one machine at one
// moment; the ratio says something about the bus.
#pragma once

#include "tools/bench/pair.hpp"
#include "tools/bench/statistics.hpp"

#include <chrono>
#include <vector>

namespace shmbus::tools::bench {

/// What both sides of a case do. The first side's times count.
class Player {
  public:
    virtual ~Player() = default;
    /// One slice; returns ns for each event: the median of a latency, the mean of a throughput.
    /// Single durations, in ns, go into `single`.
    virtual double raw() = 0;
    virtual double bus(Histogram& single) = 0;
};

struct Result {
    Histogram single;           // empty for throughput
    std::vector<double> raw_ns; // for each event; undisturbed slices only
    std::vector<double> bus_ns; // likewise
    std::vector<double> ratios; // of latencies, or of rates
    std::size_t disturbed = 0;
    bool is_rate = false; // ratio is bus to raw in events a second
};

/// How much a result is worth, and may take.
struct Effort {
    std::size_t wanted; // slices that count
    std::size_t enough; // with fewer the result says little
    std::chrono::seconds longest;
};

/// Runs slices until as many count as are wanted, as far as the time allows.
void measure(Pair& pair, Player& player, const Effort& effort, Result& result);

} // namespace shmbus::tools::bench
