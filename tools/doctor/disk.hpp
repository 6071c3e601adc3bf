// Where topics on disk are, and how much room there is.
#pragma once

#include "tools/doctor/finding.hpp"

#include <shmbus/types.hpp>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace shmbus::tools::doctor {

struct DiskFacts {
    std::string directory;   ///< of the daemon's state; empty: it is not known, or there is none
    bool is_visible = false; ///< what follows holds
    std::string file_system = {}; ///< of which kind
    bool is_read_only = false;
    std::uint64_t bytes = 0; ///< of the file system
    std::uint64_t free_bytes = 0;
    std::uint64_t files = 0; ///< how many it can have; 0: there is no such limit
    std::uint64_t free_files = 0;
    std::optional<std::uint64_t> used_bytes = {}; ///< by topics; nothing: that is not ours to see
    std::vector<std::string> topics_there = {};   ///< the names of their directories
    std::string unread = {}; ///< a path that could not be looked at; empty: all could
    int error = 0;           ///< errno, why not
    /// Whether that is since this user may not.
    [[nodiscard]] bool is_hidden_from(std::uint32_t user) const noexcept {
        return user != 0 && (error == EACCES || error == EPERM);
    }
};

/// The state directory of the bus at that socket: what a topic's own directory says, or else where it is by rule,
/// if it says itself that it is that bus's. Empty if it is not known.
[[nodiscard]] std::string state_directory_of(const std::string& socket,
                                             const std::string& topic_directory);

[[nodiscard]] DiskFacts look_at_disk(const std::string& state_directory);

/// `topics` are all of the bus; `user` is who asks.
[[nodiscard]] Findings findings_of(const DiskFacts& facts, const std::vector<TopicInfo>& topics,
                                   std::uint32_t user);

/// Topics that have a directory, and the daemon does not list.
[[nodiscard]] std::vector<std::string> unlisted(const DiskFacts& facts,
                                                const std::vector<TopicInfo>& topics);
/// `trouble` is why the daemon has not got it.
[[nodiscard]] Finding unavailable(const DiskFacts& facts, const std::string& topic,
                                  const std::string& trouble);

} // namespace shmbus::tools::doctor
