// The two clocks: wall time for events, monotonic time for durations.
#pragma once

#include <cstdint>
#include <ctime>

namespace shmbus::base {

inline std::uint64_t nanoseconds_of(clockid_t clock) noexcept {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(now.tv_nsec);
}

inline std::uint64_t wall_ns() noexcept { return nanoseconds_of(CLOCK_REALTIME); }
inline std::uint64_t monotonic_ns() noexcept { return nanoseconds_of(CLOCK_MONOTONIC); }
/// To a few milliseconds, for a tenth of the price.
inline std::uint64_t coarse_ns() noexcept { return nanoseconds_of(CLOCK_MONOTONIC_COARSE); }
/// The same. Wraps every 49 days; compare by difference.
inline std::uint32_t coarse_ms() noexcept {
    return static_cast<std::uint32_t>(nanoseconds_of(CLOCK_MONOTONIC_COARSE) / 1'000'000U);
}

/// Tells the core that this is a spin loop.
inline void relax() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/// Waits some 40 ns without touching memory. PAUSE takes 10 to 140 cycles, as the processor likes,
/// so the time-stamp counter (2 to 4 ticks a nanosecond) says when it is enough.
inline void relax_briefly() noexcept {
#if defined(__x86_64__)
    const std::uint64_t start = __builtin_ia32_rdtsc();
    do relax();
    while (__builtin_ia32_rdtsc() - start < 100);
#else
    for (int i = 0; i < 16; ++i) relax();
#endif
}

} // namespace shmbus::base
