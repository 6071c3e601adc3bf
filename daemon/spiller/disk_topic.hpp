// One topic on its way to the disk: its ring at one end, its log at the other.
//
// The ring thread copies events out of the source; the disk thread stores them and moves the ring's
// watermarks, which lets publishers go on. Whatever the disk refuses is still in the ring, as the
// watermark that publishers wait for has not passed it: so trouble is mended by dropping what is under
// way and copying once more, from Log::next() on.
#pragma once

#include "daemon/spiller/source.hpp"
#include "daemon/store/log.hpp"

#include <atomic>
#include <memory>

namespace shmbus::spiller {

/// When what was written is made durable.
struct SyncPolicy {
    enum class Kind : std::uint8_t { none, interval, group };
    Kind kind = Kind::group;
    std::chrono::milliseconds interval{}; // Kind::interval: so long after the first unsynced event
};

/// A topic's log, and the directory it is in.
struct OpenLog {
    std::unique_ptr<store::Directory> directory;
    std::unique_ptr<store::Log> log;
};
/// What was promised for and is not there is lost from now on, so that a ring can begin behind it: none of
/// these sequences is ever used again. @throws store::FileError, Error as store::Log
[[nodiscard]] OpenLog open_log(std::unique_ptr<store::Directory> directory,
                               const layout::Uuid& uuid, const store::LogOptions& options);

class DiskTopic {
  public:
    /// The ring has everything behind the log's end; reader entry `entry` is the spiller's.
    DiskTopic(std::string name, const ring::Topic& topic, std::uint32_t entry, OpenLog log,
              SyncPolicy policy);

    const std::string name;

    // The ring thread's:
    Source source;
    unsigned in_flight = 0; // batches
    bool end_sent = false;

    // The disk thread's:
    /// Appends and writes. False: there is trouble, and nothing is to be sent before resume().
    bool store(const Batch& batch);
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
    /// Why the disk does not take the events, if it does not.
    [[nodiscard]] bool is_degraded() const noexcept { return degraded_.load(); }

  private:
    bool note(store::Outcome outcome);
    bool keep_lease();
    void publish_watermarks() noexcept;

    ring::Topic topic_;
    OpenLog open_;
    store::Log& log_;
    SyncPolicy policy_;
    std::optional<Deadline::Clock::time_point> unsynced_since_;
    std::atomic<bool> degraded_{false};
};

} // namespace shmbus::spiller
