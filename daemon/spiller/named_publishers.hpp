// How far each publisher of a topic has come that has a name, so that it publishes nothing twice.
//
// Such a publisher has the same id for ever, and numbers its events upwards. The largest number of each is
// noted as its events are stored, and brought to disk every now and then; what the records do not tell is
// read from the log when it is opened, and from the ring when the name is taken.
#pragma once

#include "daemon/store/log.hpp"
#include "daemon/store/publisher_files.hpp"

#include <atomic>
#include <mutex>

namespace shmbus::spiller {

/// Ids of those without a name are smaller.
inline constexpr std::uint32_t first_named_id = 1U << 31U;
inline constexpr std::size_t max_named_publishers = 1'000; // of a topic

/// From any thread.
class NamedPublishers {
  public:
    /// Reads what is missing from the log, which nobody uses meanwhile.
    /// @throws store::FileError, Error
    NamedPublishers(std::unique_ptr<store::PublisherFiles> files, store::Directory& directory,
                    const layout::Uuid& topic, const store::Log& log);

    /// Makes it if there is none of that name; on disk then. @throws store::FileError, Error(limit)
    [[nodiscard]] std::uint32_t id_of(const std::string& name);
    /// Whether there is one.
    [[nodiscard]] bool any() const noexcept { return any_.load(); }
    /// Of what was stored.
    [[nodiscard]] std::uint64_t last_event(std::uint32_t id) const;

    void note(std::uint32_t id, std::uint64_t event);
    /// Whether there is anything to be saved.
    [[nodiscard]] bool has_changed() const;
    /// @pre everything noted is on disk, up to `through` @throws store::FileError, Error
    void save(Sequence through);

  private:
    void read(store::Directory& directory, const layout::Uuid& topic, const store::Log& log);
    std::atomic<bool> any_{false};
    mutable std::mutex mutex_;
    std::unique_ptr<store::PublisherFiles> files_; // guarded by mutex_, as is all else
    std::map<std::string, store::PublisherRecord> all_;
    std::map<std::uint32_t, std::string> names_;
    std::map<std::string, store::PublisherRecord> changed_;
};

} // namespace shmbus::spiller
