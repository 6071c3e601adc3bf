#include "daemon/store/cursor_keeper.hpp"

#include "base/thread.hpp"
#include "daemon/system/messages.hpp"

#include <fmt/format.h>
#include <utility>

namespace shmbus::store {

CursorKeeper::CursorKeeper() {
    const base::BlockedSignals blocked;
    thread_ = std::thread([this] { work(); });
}

CursorKeeper::~CursorKeeper() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void CursorKeeper::keep(const std::shared_ptr<SubscriptionFiles>& files, const std::string& name,
                        const std::optional<SubscriptionRecord>& record, Done done) {
    const std::lock_guard lock(mutex_);
    Job& job = jobs_[{files.get(), name}];
    job.files = files;
    job.record = record;
    if (done) job.done.push_back(std::move(done));
    changed_.notify_all();
}

bool CursorKeeper::is_done() {
    const std::lock_guard lock(mutex_);
    return jobs_.empty() && !at_work_;
}

void CursorKeeper::work() {
    base::name_this_thread("shmbus-cursors");
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        const auto node = jobs_.extract(jobs_.begin());
        at_work_ = true;
        lock.unlock();
        const auto& [files, name] = node.key();
        const auto problem = carry_out(name, node.mapped());
        if (problem.empty())
            troubled_.erase(node.key());
        else if (std::exchange(troubled_[node.key()], problem) != problem) // once, not every second
            system::log(system::messages::subscription_not_kept, {.subscription = name},
                        fmt::format("subscription {}: its cursor is not on disk: {}; it is tried "
                                    "again when it moves on",
                                    name, problem));
        for (const auto& done : node.mapped().done) done(problem);
        lock.lock();
        at_work_ = false;
    }
}

std::string CursorKeeper::carry_out(const std::string& name, const Job& job) {
    try {
        if (job.record)
            job.files->write(name, *job.record);
        else
            job.files->remove(name);
        return {};
    } catch (const std::exception& e) {
        return e.what();
    }
}

} // namespace shmbus::store
