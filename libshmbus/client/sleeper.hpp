// A thread that sleeps on behalf of another.
//
// futex_waitv takes 128 words, and no event loop can wait for a futex. So a WaitSet has threads that
// sleep on its words, in groups, and pass on that one of them changed.
#pragma once

#include "base/futex.hpp"

#include <functional>
#include <mutex>
#include <sys/types.h>
#include <thread>
#include <vector>

namespace shmbus::client {

class Sleeper {
  public:
    /// Calls `changed` on its thread each time that a word is not what it was. @throws Error(limit)
    explicit Sleeper(std::function<void()> changed);
    ~Sleeper();
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;

    /// Sleeps on these words from now on, at most max_watched, until one of them changes, or `until`; then
    /// on nothing until the next call. They may go away once others, or none, were given.
    void watch(std::span<const base::Watched> words, Deadline until = Deadline::never()) noexcept;

  private:
    void main() noexcept;
    bool take_orders() noexcept;

    std::function<void()> changed_;
    pid_t process_;
    std::mutex mutex_;
    std::vector<base::Watched> ordered_;         // guarded by mutex_
    Deadline ordered_until_ = Deadline::never(); // likewise
    bool stop_ = false;                          // likewise
    std::vector<base::Watched> watched_;         // the thread's
    Deadline until_ = Deadline::never();         // likewise
    base::Word32 poke_{0};                       // 1: there are new orders
    std::thread thread_;
};

} // namespace shmbus::client
