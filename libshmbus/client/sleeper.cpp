#include "client/sleeper.hpp"

#include "base/system_error.hpp"
#include "base/thread.hpp"

#include <system_error>
#include <unistd.h>

namespace shmbus::client {

Sleeper::Sleeper(std::function<void()> changed)
    : changed_(std::move(changed)), process_(::getpid()) {
    ordered_.reserve(base::max_watched);
    watched_.reserve(base::max_watched);
    try {
        const base::BlockedSignals blocked;
        thread_ = std::thread([this] { main(); });
    } catch (const std::system_error& e) {
        base::throw_system("starting a thread that waits", e.code().value());
    }
}

Sleeper::~Sleeper() {
    if (::getpid() != process_) { // in the child of a fork, where it is not
        thread_.detach();
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    watch({});
    thread_.join();
}

void Sleeper::watch(std::span<const base::Watched> words, Deadline until) noexcept {
    {
        const std::lock_guard lock(mutex_);
        ordered_until_ = until;
        ordered_.assign(words.begin(), words.end()); // within what was reserved
    }
    poke_.store_release(1); // pairs with futex_wait()
    base::futex_wake_private(poke_);
}

bool Sleeper::take_orders() noexcept {
    poke_.store_relaxed(0);
    const std::lock_guard lock(mutex_);
    watched_.assign(ordered_.begin(), ordered_.end());
    until_ = watched_.empty() ? Deadline::never() : ordered_until_;
    return !stop_;
}

void Sleeper::main() noexcept {
    base::name_this_thread();
    while (take_orders())
        while (base::futex_wait(watched_, poke_, until_) != base::Woken::interrupted) {
            if (watched_.empty()) continue;
            watched_.clear();
            until_ = Deadline::never();
            changed_();
        }
}

} // namespace shmbus::client
