#include "daemon/activation/starter.hpp"

#include "base/thread.hpp"

#include <utility>

namespace shmbus::activation {

Starter::~Starter() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void Starter::ask(Request request) {
    if (!thread_.joinable()) {
        const base::BlockedSignals blocked;
        thread_ = std::thread([this] { work(); });
    }
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    changed_.notify_all();
}

std::vector<Starter::Answer> Starter::take_answers() {
    const std::lock_guard lock(mutex_);
    return std::exchange(answers_, {});
}

void Starter::work() {
    base::name_this_thread("shmbus-starter");
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stop_ || !requests_.empty(); });
        if (stop_) return;
        Request request = std::move(requests_.front());
        requests_.pop_front();
        lock.unlock();
        Outcome outcome = start_(request);
        lock.lock();
        answers_.push_back({std::move(request), std::move(outcome)});
    }
}

} // namespace shmbus::activation
