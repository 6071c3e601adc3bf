// The durable subscriptions of a topic on disk: a small file for each, beside the log. A group has two: the second
// one says how far each key slot is. It is written first, so it is never behind the cursor that the first one says.
#pragma once

#include "daemon/store/state_file.hpp"
#include "layout/group.hpp"
#include "shmbus/group.hpp"

#include <map>

namespace shmbus::store {

struct SubscriptionRecord {
    std::uint64_t created_ns = 0; // since 1970
    Sequence cursor = 0;          // the last acknowledged one; without meaning before it has begun
    std::uint32_t creator = 0;    // uid
    bool begun = false;           // somebody has received from it
    bool paused = false;
    std::optional<GroupOptions> group = {};       // it is one
    std::vector<layout::KeySlotState> slots = {}; // of a group that has begun: of each key slot
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
    [[nodiscard]] StateFile& slots_of(const std::string& name);
    void load_slots(const std::string& name, SubscriptionRecord& record);
    void remove_file(const std::string& name);
    std::unique_ptr<Directory> directory_;
    layout::Uuid topic_;
    std::map<std::string, StateFile> files_;
    std::map<std::string, StateFile> slots_;
};

} // namespace shmbus::store
