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

/// Calibrates itself between construction and the first question.
class Ticker {
  public:
    [[nodiscard]] double ns_per_tick() const noexcept {
        return static_cast<double>(now_ns() - ns_) / static_cast<double>(ticks() - ticks_);
    }

  private:
    std::uint64_t ns_ = now_ns();
    std::uint64_t ticks_ = ticks();
};

} // namespace shmbus::tools::bench
