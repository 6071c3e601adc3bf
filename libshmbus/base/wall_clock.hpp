// Wall time for each event, for less than half of what the system's clock costs.
//
// Where the kernel itself keeps time by the processor's time-stamp counter (clocksource "tsc", which
// it chooses only when the counters of all cores agree), this clock looks at the counter and adds to
// the last time that it asked the kernel for. It asks again every millisecond of use, so it follows
// whatever the kernel does to the clock, steps and slewing, that much later. Elsewhere it asks every
// time. Algorithm: that of the kernel's own vDSO, without its lock.
//
// Thread safety: one thread at a time.
#pragma once

#include "base/clock.hpp"

namespace shmbus::base {

class WallClock {
  public:
    /// Asks the kernel what it keeps time by.
    WallClock();
    /// For tests: trusts the counter, or not.
    explicit WallClock(bool trusts_counter) noexcept : trusts_counter_(trusts_counter) {}

    /// Nanoseconds since 1970. Within a microsecond of CLOCK_REALTIME, once that has not been set
    /// for a millisecond.
    [[nodiscard]] std::uint64_t now_ns() noexcept {
        if (!trusts_counter_) return wall_ns();
        const std::uint64_t ticks = counter() - anchor_ticks_; // huge if the counter went back
        return ticks < valid_ticks_ ? anchor_ns_ + (ticks * ns_per_tick_ >> fraction_bits) : ask();
    }

  private:
    static constexpr unsigned fraction_bits = 32;
    static std::uint64_t counter() noexcept;
    std::uint64_t ask() noexcept;

    bool trusts_counter_;
    std::uint64_t anchor_ticks_ = 0;
    std::uint64_t anchor_ns_ = 0;
    std::uint64_t ns_per_tick_ = 0; // with fraction_bits behind the point
    std::uint64_t valid_ticks_ = 0; // how long the anchor is good for; 0: its rate is not known yet
};

inline std::uint64_t WallClock::counter() noexcept {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0; // never trusted
#endif
}

} // namespace shmbus::base
