// A steady load with its stalls on record: publishers that send at an even pace, and watchers that
// note when each of their events arrives.
//
// What is asked of the record: around a moment (somebody was killed then), what was the longest
// time between two arrivals? The same question about moments at which nothing happened tells what
// the machine does by itself.
#pragma once

#include "process/child.hpp"
#include "process/shared_array.hpp"
#include "shmbus/bus.hpp"

#include <functional>
#include <memory>
#include <utility>

namespace shmbus::test {

/// Counters that all processes of a run share.
enum SteadyCounter : std::size_t {
    stop_counter,  // not 0: the steady publishers end
    first_counter, // from here on: for the test that uses this
    steady_counters = 16
};

/// In ns of CLOCK_MONOTONIC.
using Moments = std::vector<std::uint64_t>;

/// What a watcher saw.
struct Watched {
    std::uint64_t events = 0; // of the steady publishers
    std::uint64_t other = 0;  // of anybody else
    std::uint64_t hash = 0;   // of all events, in their order
    std::vector<Sequence> tombstones;
};

/// p50, p99 and so on of some measurements.
class Percentiles {
  public:
    void add(double value) { values_.push_back(value); }
    [[nodiscard]] double at(double fraction) const;
    [[nodiscard]] std::size_t count() const { return values_.size(); }
    /// "p50 1.0 ms, p99 …, max … of …"
    [[nodiscard]] std::string text() const;

  private:
    std::vector<double> values_;
};

class SteadyLoad {
  public:
    struct Size {
        unsigned publishers = 2;
        unsigned watchers = 3;
        std::uint64_t period_us = 1000; // of each publisher
        std::size_t payload = 64;
    };
    /// Starts watchers, then publishers, in topic "steady". Returns when all are at work.
    SteadyLoad(const std::string& socket, Size size);

    /// Shared with every other worker of the run, as descriptor 3.
    [[nodiscard]] const SharedCounters& counters() const { return counters_; }
    /// Ends all; what each watcher saw. @throws std::runtime_error when anything was lost, out of
    /// order, or not accounted for
    std::vector<Watched> stop(Bus& bus);

    /// The longest time between two arrivals, in milliseconds, at the `watcher`, of those that
    /// touch the time from `at` to `at + window` (ns of CLOCK_MONOTONIC), which is over.
    [[nodiscard]] double longest_ms(unsigned watcher, std::uint64_t at, std::uint64_t window) const;
    /// The same for every watcher and each of these moments.
    [[nodiscard]] Percentiles longest_ms(const Moments& moments, std::uint64_t window) const;

  private:
    SharedCounters counters_{steady_counters};
    std::vector<std::unique_ptr<SharedCounters>> arrivals_; // by watcher; the first is the count
    std::vector<Child> watchers_;
    std::vector<Child> publishers_;
};

/// Whether the watchers stall at most 10 ms (p99) in the window after each kill. `round` kills, and
/// returns when it did and when it did not, to compare with. Where even those moments show stalls
/// of that size the machine is too busy to tell, and another round follows, up to three.
/// @returns "good", or what is wrong
std::string measure_stalls(const SteadyLoad& load, std::uint64_t window,
                           const std::function<std::pair<Moments, Moments>()>& round);

/// Puts this process and its workers ahead of whatever else runs here, if it may: what is measured
/// is the bus, not the machine.
void take_precedence();

/// Makes this process as large, for as long as it lives: memory that is there, in small pages.
void take_memory(std::size_t bytes);

/// Sleeps: for what is measured in time, not for what should happen meanwhile.
void pass_time_until(std::uint64_t monotonic_ns);

/// Types of the load's events.
inline constexpr std::uint32_t steady_type = 1;
inline constexpr std::uint32_t other_type = 2;
inline constexpr std::uint32_t last_type = 3;

} // namespace shmbus::test
