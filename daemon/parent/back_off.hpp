// How long to wait before the next of several attempts that fail: twice as long each time.
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

namespace shmbus::parent {

class BackOff {
  public:
    using Delay = std::chrono::milliseconds;
    BackOff(Delay first, Delay longest) : first_(first), longest_(longest), next_(first) {}

    Delay next() { return std::exchange(next_, std::min(2 * next_, longest_)); }
    /// An attempt succeeded.
    void reset() { next_ = first_; }

  private:
    Delay first_;
    Delay longest_;
    Delay next_;
};

} // namespace shmbus::parent
