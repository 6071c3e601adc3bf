// The named publishers of a topic on disk: a small file for each, beside the log, and one that says up to
// which sequence they tell everything.
#pragma once

#include "daemon/store/state_file.hpp"
#include "shmbus/types.hpp"

#include <map>

namespace shmbus::store {

struct PublisherRecord {
    std::uint32_t id = 0;         // its Event::publisher()
    std::uint64_t last_event = 0; // the largest event id of its that is on disk
    bool operator==(const PublisherRecord&) const = default;
};

/// One thread at a time.
class PublisherFiles {
  public:
    PublisherFiles(std::unique_ptr<Directory> directory, const layout::Uuid& topic);

    /// What is there, by name. One that is damaged has no last event, and then nothing is told: through()
    /// is 0. @throws FileError
    [[nodiscard]] const std::map<std::string, PublisherRecord>& load();
    /// What is behind this is not in the records.
    [[nodiscard]] Sequence through() const noexcept { return through_; }
    [[nodiscard]] const std::vector<std::string>& damaged() const noexcept { return damaged_; }

    // On disk when these have returned. @throws FileError, Error
    void add(const std::string& name, const PublisherRecord& record);
    /// Records that tell of everything up to `through`, which is on disk.
    void save(const std::map<std::string, PublisherRecord>& changed, Sequence through);

  private:
    [[nodiscard]] StateFile& file_of(const std::string& name, std::uint32_t id);
    void write(const std::string& name, const PublisherRecord& record);
    std::unique_ptr<Directory> directory_;
    layout::Uuid topic_;
    StateFile extent_;
    Sequence through_ = 0;
    std::vector<std::string> damaged_;
    std::map<std::string, PublisherRecord> found_;
    std::map<std::string, StateFile> files_;
};

} // namespace shmbus::store
