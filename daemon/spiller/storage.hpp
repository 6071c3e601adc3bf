// Topics on disk: where they are, and who carries their events there.
#pragma once

#include "daemon/spiller/spiller.hpp"
#include "daemon/store/cursor_keeper.hpp"
#include "daemon/store/state_directory.hpp"
#include "daemon/store/topic_record.hpp"

namespace shmbus::spiller {

/// Topics come and go on one thread.
class Storage {
  public:
    /// @throws as store::StateDirectory
    explicit Storage(const std::string& path) : state_(path) {}
    /// @throws as store::StateDirectory
    void belong_to(const std::string& socket) const { state_.belong_to(socket); }

    [[nodiscard]] std::vector<std::string> topics() const { return state_.topics(); }

    /// On disk when this has returned; nothing is left of it when this has thrown.
    /// @throws store::FileError, Error
    [[nodiscard]] OpenLog create(const std::string& name, const store::TopicRecord& record,
                                 Sequence first);
    /// Takes a creation back, before anybody knew of the topic.
    void clear(const std::string& name, const layout::Uuid& uuid) noexcept;
    /// What there is of a topic's beginnings, if it was never made to the end: nothing, and it is gone.
    /// @throws store::FileError; Error: damaged, incompatible
    [[nodiscard]] std::optional<store::TopicRecord> find(const std::string& name);
    [[nodiscard]] OpenLog open(const std::string& name, const store::TopicRecord& record);

    /// Leaves a mark that clients have its memory, or takes it away; for the daemons of this boot.
    void mark_held(const std::string& name, bool held) noexcept;
    [[nodiscard]] bool is_held(const std::string& name) const noexcept;

    /// Where its files are.
    [[nodiscard]] std::string path_of(const std::string& name) const {
        return state_.topic_path(name);
    }

    [[nodiscard]] store::CursorKeeper& cursors() noexcept { return cursors_; }
    void carry(std::shared_ptr<DiskTopic> topic) { spiller_.add(std::move(topic)); }
    /// As Spiller::finish().
    bool finish(const std::shared_ptr<DiskTopic>& topic, Deadline deadline) {
        return spiller_.finish(topic, deadline);
    }
    /// The name is free, for good, when this has returned; the files go later. `topic` was carried.
    void remove(const std::string& name, const layout::Uuid& uuid,
                const std::shared_ptr<DiskTopic>& topic);

  private:
    void clear(const std::string& name, const std::string& unique) noexcept;
    [[nodiscard]] store::LogOptions log_options(const TopicOptions& options) const;
    store::StateDirectory state_;
    store::CursorKeeper cursors_;
    Spiller spiller_; // stops first
};

} // namespace shmbus::spiller
