// One topic on its way to the disk: its ring at one end, its log at the other.
//
// The ring thread copies events out of the source; the disk thread stores them and moves the ring's
// watermarks, which lets publishers go on. Whatever the disk refuses is still in the ring, as the
// watermark that publishers wait for has not passed it: so trouble is mended by dropping what is under
// way and copying once more, from Log::next() on.
#pragma once

#include "daemon/spiller/named_publishers.hpp"
#include "daemon/spiller/source.hpp"
#include "daemon/store/log.hpp"
#include "daemon/store/retention.hpp"

#include <atomic>
#include <memory>
#include <mutex>

namespace shmbus::spiller {

/// What of a topic's options concerns the disk.
struct DiskPolicy {
    Sync sync = Sync::group;
    std::chrono::milliseconds interval{}; // Sync::interval: so long after the first unsynced event
    bool hold = false;
    store::Limits keep = {};
};
[[nodiscard]] DiskPolicy disk_policy_of(const TopicOptions& options);

/// What there is of a topic on disk just now.
struct Kept {
    std::vector<Sequence> segments; // the first sequence of each, in order
    Sequence written = 0;
    Sequence durable = 0;
    std::uint64_t last_bytes = 0; // of the last segment, with what is up to `written`
    std::string trouble;          // why the disk takes no events; empty: it does
};

/// A topic's log, and the directory it is in.
struct OpenLog {
    std::unique_ptr<store::Directory> directory;
    std::unique_ptr<store::Log> log;
    std::string path; // of the directory, where it is a real one
};
/// @throws store::FileError, Error as store::Log
[[nodiscard]] OpenLog open_log(std::unique_ptr<store::Directory> directory,
                               const layout::Uuid& uuid, const store::LogOptions& options);

/// There is no ring with what was promised for and is not there: that is lost from now on, so that a new
/// ring can begin behind it. None of these sequences is ever used again.
void give_up_promises(OpenLog& open) noexcept;

class DiskTopic {
  public:
    /// The ring has everything behind the log's end; reader entry `entry` is the spiller's.
    DiskTopic(std::string name, const ring::Topic& topic, std::uint32_t entry, OpenLog log,
              const layout::Uuid& uuid, const DiskPolicy& policy,
              std::shared_ptr<NamedPublishers> named = nullptr);

    const std::string name;

    // The ring thread's:
    Source source;
    unsigned in_flight = 0; // batches
    bool end_sent = false;

    // The disk thread's:
    /// Settles what an earlier run left; before anything else. False: as store().
    bool begin();
    /// Appends and writes. False: there is trouble, and nothing is to be sent before resume().
    bool store(store::Batch& batch);
    /// Makes durable what was written, if that is the topic's way.
    bool sync();
    /// When sync() is due, if anything is unsynced.
    [[nodiscard]] std::optional<Deadline::Clock::time_point> sync_due() const noexcept;
    /// Everything is in, and the ring is closed: syncs, and seals the log.
    bool close();
    /// After trouble: makes the log ready for being fed again; from which sequence on. Nothing: try
    /// again later.
    std::optional<Sequence> resume();

    // Anybody's:
    [[nodiscard]] Kept kept() const;
    /// Everything above is still needed by a durable subscription. For topics that hold.
    void hold(Sequence acknowledged) noexcept { held_above_ = acknowledged; }
    [[nodiscard]] const std::string& path() const noexcept { return open_.path; }
    [[nodiscard]] const layout::Uuid& uuid() const noexcept { return uuid_; }
    [[nodiscard]] NamedPublishers* named() const noexcept { return named_.get(); }
    /// Whether the disk takes no events just now.
    [[nodiscard]] bool is_degraded() const noexcept { return degraded_.load(); }
    /// Its files are on their way out, and others of the same names may come.
    void note_removal() noexcept { removed_ = true; }
    [[nodiscard]] bool is_removed() const noexcept { return removed_.load(); }

  private:
    bool note(store::Outcome outcome);
    [[nodiscard]] Sequence let_on() const noexcept;
    bool keep_lease();
    void publish_watermarks();
    void take_stock();
    void expire();
    void note_named(const store::Batch& batch);
    bool save_named();

    ring::Topic topic_;
    OpenLog open_;
    store::Log& log_;
    layout::Uuid uuid_;
    DiskPolicy policy_;
    std::shared_ptr<NamedPublishers> named_;
    std::size_t segments_when_saved_ = 0; // named_
    std::optional<Deadline::Clock::time_point> unsynced_since_;
    store::Catalog catalog_;
    std::size_t segments_at_expiry_ = 0;
    Deadline::Clock::time_point next_expiry_{};
    std::atomic<bool> degraded_{false};
    std::atomic<bool> removed_{false};
    std::atomic<Sequence> held_above_{0};
    mutable std::mutex mutex_;
    Kept kept_; // guarded by mutex_
};

} // namespace shmbus::spiller
