// When to ask for the consumer of one subscription: at once, and then, as long as nothing comes of it, after
// pauses that grow.
#pragma once

#include "shmbus/types.hpp"

#include <algorithm>
#include <chrono>

namespace shmbus::activation {

class Pace {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::seconds shortest{1};
    static constexpr std::chrono::seconds longest{300};

    /// There is work behind `cursor`, and nobody who does it. @returns whether to ask now
    bool is_due(Time now, Sequence cursor) noexcept {
        if (cursor != cursor_) rest(); // somebody has worked on it since
        cursor_ = cursor;
        if (attempts_ != 0 && now < next_) return false;
        pause_ = attempts_ == 0 ? shortest : std::min(2 * pause_, longest);
        next_ = now + pause_;
        ++attempts_;
        return true;
    }
    /// There is nothing to do.
    void rest() noexcept { attempts_ = 0; }

    /// How often it was asked for, since anybody got on.
    [[nodiscard]] unsigned attempts() const noexcept { return attempts_; }
    /// From the last time to the next.
    [[nodiscard]] std::chrono::seconds pause() const noexcept { return pause_; }

  private:
    Sequence cursor_ = 0;
    unsigned attempts_ = 0;
    std::chrono::seconds pause_ = shortest;
    Time next_{};
};

} // namespace shmbus::activation
