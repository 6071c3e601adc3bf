// A clock cheap enough to ask around every round trip.
#pragma once

#include <chrono>
#include <cstdint>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace shmbus::tools::bench {

inline std::uint64_t now_ns() noexcept {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

/// Ticks of the fastest monotonic counter there is; Ticker says how long one takes.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return now_ns();
#endif
}

/// How long a tick takes; looks for a hundredth of a second.
inline double calibrate() noexcept {
    const std::uint64_t from_ns = now_ns();
    const std::uint64_t from_ticks = ticks();
    while (now_ns() - from_ns < 10'000'000) {
    }
    return static_cast<double>(now_ns() - from_ns) / static_cast<double>(ticks() - from_ticks);
}

} // namespace shmbus::tools::bench
