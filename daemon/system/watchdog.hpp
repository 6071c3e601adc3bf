// Says to whoever started the daemon that it is well (WATCHDOG=1, sd_watchdog_enabled(3)), as long as its event
// loop goes round.
//
// A thread of its own says so, three times in the time that is allowed: the loop's thread cannot while it waits
// for the disk, which may be slow without being any better after a restart. So what counts is that the loop's
// thread has moved since the last time, or waits for the disk: a timer of the loop has fired, or something at the
// disk has ended or is under way. When it hangs anywhere else, or all of the process is stopped, nothing is said,
// and it is killed, at the latest when four thirds of that time are over.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace shmbus::system {

class Watchdog {
  public:
    /// Watches the calling thread, if whoever started the daemon wants to hear of it. One at a time.
    Watchdog();
    ~Watchdog();
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    /// How often the loop is to call beat(); nothing: never.
    [[nodiscard]] std::optional<std::chrono::microseconds> pause() const noexcept;
    static void beat() noexcept;

  private:
    void work(unsigned seen);
    std::chrono::microseconds allowed_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stop_ = false; // guarded by mutex_
    std::thread thread_;
};

/// While it lives, its thread waits for the disk, or for another thread that does. It matters on the thread that
/// is watched alone.
class DiskWait {
  public:
    DiskWait() noexcept;
    ~DiskWait();
    DiskWait(const DiskWait&) = delete;
    DiskWait& operator=(const DiskWait&) = delete;
};

} // namespace shmbus::system
