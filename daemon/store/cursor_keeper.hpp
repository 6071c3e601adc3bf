// Brings the cursors of durable subscriptions to disk, on a thread of its own: nobody else waits for it.
#pragma once

#include "daemon/store/subscription_files.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace shmbus::store {

class CursorKeeper {
  public:
    CursorKeeper();
    /// Brings what it was given to disk first.
    ~CursorKeeper();
    CursorKeeper(const CursorKeeper&) = delete;
    CursorKeeper& operator=(const CursorKeeper&) = delete;

    /// Called on the keeper's thread: empty when it is on disk, else why not.
    using Done = std::function<void(const std::string& problem)>;

    /// Of several in a row for one subscription the last one counts. No record: it is removed.
    void keep(const std::shared_ptr<SubscriptionFiles>& files, const std::string& name,
              const std::optional<SubscriptionRecord>& record, Done done = {});

    /// Whether all that it was given is on disk, or cannot be brought there.
    [[nodiscard]] bool is_done();

  private:
    struct Job {
        std::shared_ptr<SubscriptionFiles> files;
        std::optional<SubscriptionRecord> record;
        std::vector<Done> done;
    };
    using Key = std::pair<SubscriptionFiles*, std::string>;
    void work();
    static std::string carry_out(const std::string& name, const Job& job);

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<Key, Job> jobs_; // guarded by mutex_, as is the next one
    bool stop_ = false;
    bool at_work_ = false;                // on a job that is in jobs_ no more
    std::map<Key, std::string> troubled_; // the thread's own: what was said of it
    std::thread thread_;
};

} // namespace shmbus::store
