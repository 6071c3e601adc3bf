#include "daemon/system/watchdog.hpp"

#include "base/thread.hpp"
#include "daemon/system/service.hpp"

#include <atomic>

namespace shmbus::system {

namespace {

thread_local bool is_watched = false;
// Of the thread that is watched; nothing else is to be seen by them, so no order matters.
std::atomic<unsigned> moves{0};
std::atomic<unsigned> disk_waits{0};

constexpr int looks = 3;         // in the time that is allowed
constexpr int beats = 2 * looks; // so that each look sees one, late as it may be

} // namespace

Watchdog::Watchdog() {
    const auto allowed = watchdog_time();
    if (!allowed) return;
    allowed_ = *allowed;
    is_watched = true;
    const base::BlockedSignals blocked;
    thread_ = std::thread([this, seen = moves.load()] { work(seen); });
}

Watchdog::~Watchdog() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        changed_.notify_all();
    }
    thread_.join();
    is_watched = false;
}

std::optional<std::chrono::microseconds> Watchdog::pause() const noexcept {
    if (!thread_.joinable()) return std::nullopt;
    return allowed_ / beats;
}

void Watchdog::beat() noexcept { moves.fetch_add(1, std::memory_order_relaxed); }

void Watchdog::work(unsigned seen) {
    base::name_this_thread("shmbus-watchdog");
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, allowed_ / looks, [this] { return stop_; })) {
        const unsigned now = moves;
        if (now != seen || disk_waits != 0) announce_well();
        seen = now;
    }
}

DiskWait::DiskWait() noexcept {
    if (is_watched) disk_waits.fetch_add(1, std::memory_order_relaxed);
}

DiskWait::~DiskWait() {
    if (!is_watched) return;
    Watchdog::beat();
    disk_waits.fetch_sub(1, std::memory_order_relaxed);
}

} // namespace shmbus::system
