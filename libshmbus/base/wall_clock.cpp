#include "base/wall_clock.hpp"

#include <fstream>
#include <string>

namespace shmbus::base {

namespace {

constexpr std::uint64_t ask_every_ns = 1'000'000;
constexpr std::uint64_t longest_baseline_ns = 100'000'000;
constexpr std::uint64_t max_ticks_of_a_look = 1'000; // some 300 ns

bool kernel_trusts_counter() {
#if defined(__x86_64__)
    std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    std::string source;
    return std::getline(file, source) && source == "tsc";
#else
    return false;
#endif
}

} // namespace

WallClock::WallClock() : trusts_counter_(kernel_trusts_counter()) {}

/// Takes the kernel's time as the new anchor. The counter's rate is that between two anchors, if they
/// lie a while apart and neither clock was stepped in between.
std::uint64_t WallClock::ask() noexcept {
    const std::uint64_t before = counter();
    const std::uint64_t ns = wall_ns();
    const bool interrupted =
        counter() - before > max_ticks_of_a_look; // they do not belong together
    const std::uint64_t ns_passed = ns - anchor_ns_;
    const std::uint64_t ticks_passed = before - anchor_ticks_;
    const bool is_first = anchor_ns_ == 0;
    if (interrupted || (!is_first && ns_passed < ask_every_ns / 2)) return ns;
    anchor_ns_ = ns;
    anchor_ticks_ = before;
    if (!is_first && ns_passed < longest_baseline_ns && ticks_passed < longest_baseline_ns * 8) {
        const std::uint64_t rate = (ns_passed << fraction_bits) / (ticks_passed | 1U);
        // The kernel slews its clock by less than this. What changes more was stepped: begin anew.
        const bool same = rate - ns_per_tick_ + ns_per_tick_ / 1000 < ns_per_tick_ / 500;
        ns_per_tick_ = ns_per_tick_ == 0 || same ? rate : 0;
    }
    valid_ticks_ = ns_per_tick_ == 0 ? 0 : (ask_every_ns << fraction_bits) / ns_per_tick_;
    return ns;
}

} // namespace shmbus::base
