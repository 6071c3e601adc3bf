// What exists on this bus: topics by name.
//
// Refusals are thrown as Error, with a message for the person who asked. A topic that was removed
// by force lives on, without its name, until the last holder of one of its entries is gone:
// subscribers drain what they mapped, and the dead among its publishers are still reaped.
#pragma once

#include "daemon/registry/topic.hpp"

#include <map>
#include <memory>
#include <string_view>

namespace shmbus::registry {

class Registry {
  public:
    /// `first`: the first event's sequence in new topics.
    explicit Registry(Sequence first = 1) : first_(first) {}

    /// @returns whether one was made
    /// @throws Error: bad_argument, topic_exists, different_options, limit
    bool create(const std::string& name, const TopicOptions& options, bool if_missing,
                uid_t creator);
    /// @throws Error(bad_argument), Error(no_such_topic)
    [[nodiscard]] std::shared_ptr<Topic> find(const std::string& name) const;
    /// @throws Error(busy) when it has holders and not `force`
    void remove(const std::shared_ptr<Topic>& topic, bool force);

    struct Page {
        std::vector<std::shared_ptr<Topic>> topics; // in the order of names
        bool more = false;
    };
    [[nodiscard]] Page list(std::string_view after, std::size_t limit) const;

    /// The daemon goes away in order: publishers get `closed`.
    void close_all() noexcept;

  private:
    void check_limits(uid_t creator, const MemoryNeed& need);
    Sequence first_;
    std::map<std::string, std::shared_ptr<Topic>, std::less<>> topics_;
    std::vector<std::weak_ptr<Topic>> removed_; // some of them still held
};

/// Each option in which the two differ, with both values; empty if none.
[[nodiscard]] std::string difference(const TopicOptions& existing, const TopicOptions& wanted);

} // namespace shmbus::registry
