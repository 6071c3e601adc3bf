// The durable subscriptions of a topic on disk: a small file for each, beside the log.
#pragma once

#include "daemon/store/state_file.hpp"
#include "shmbus/types.hpp"

#include <map>

namespace shmbus::store {

struct SubscriptionRecord {
    std::uint64_t created_ns = 0; // since 1970
    Sequence cursor = 0;          // the last acknowledged one; without meaning before it has begun
    std::uint32_t creator = 0;    // uid
    bool begun = false;           // somebody has received from it
    bool paused = false;
    bool operator==(const SubscriptionRecord&) const = default;
};

/// One thread at a time.
class SubscriptionFiles {
  public:
    SubscriptionFiles(std::unique_ptr<Directory> directory, const layout::Uuid& topic)
        : directory_(std::move(directory)), topic_(topic) {}

    /// What is there. One that is damaged is left out, its name in `damaged`. @throws FileError
    [[nodiscard]] std::map<std::string, SubscriptionRecord> load(std::vector<std::string>& damaged);
    /// On disk when this has returned. @throws FileError, Error
    void write(const std::string& name, const SubscriptionRecord& record);
    void remove(const std::string& name);

  private:
    [[nodiscard]] StateFile& file_of(const std::string& name);
    std::unique_ptr<Directory> directory_;
    layout::Uuid topic_;
    std::map<std::string, StateFile> files_;
};

} // namespace shmbus::store
