// Topics, who uses them, and their durable subscriptions.
#pragma once

#include "tools/doctor/finding.hpp"

#include <shmbus/group.hpp>
#include <shmbus/incident.hpp>
#include <shmbus/types.hpp>

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

namespace shmbus::tools::doctor {

struct TopicFacts {
    TopicInfo now;
    /// A second before that, of those where one look does not tell a slow one from one that stands still.
    std::optional<TopicInfo> before = {};
    /// Nothing: it was removed meanwhile.
    std::optional<std::vector<SubscriptionInfo>> subscriptions = {};
    std::set<std::uint32_t> stopped = {}; ///< pids of those that use it and are stopped
    std::vector<Incident> incidents = {}; ///< of the last hour
};

[[nodiscard]] bool needs_another_look(const TopicInfo& topic) noexcept;
/// Who of those that use it is stopped, as far as that can be seen from here. What they are called does not matter:
/// that changes. @pre the daemon knows processes by the numbers that they have here
[[nodiscard]] std::set<std::uint32_t> stopped_users_of(const TopicInfo& topic);

/// `self` is how to call this program so that it reaches the same bus.
[[nodiscard]] Findings findings_of(const TopicFacts& facts, const std::string& self);

/// The part of it about what is on its way from the ring to the disk.
[[nodiscard]] Findings findings_of_storing(const TopicFacts& facts);
/// About those who hold others up, or are stopped.
[[nodiscard]] Findings findings_of_users(const TopicFacts& facts);
/// About durable subscriptions.
[[nodiscard]] Findings findings_of_subscriptions(const TopicFacts& facts, const std::string& self);

/// About what has happened of late.
[[nodiscard]] Findings findings_of_incidents(const TopicFacts& facts, const std::string& self);

} // namespace shmbus::tools::doctor
