// What the configuration says of a subscription's consumer: the unit of systemd that it is.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <tuple>

namespace shmbus::activation {

/// Whose consumer.
struct Of {
    std::string topic;
    std::string subscription;
    bool operator==(const Of&) const = default;
    bool operator<(const Of& other) const noexcept {
        return std::tie(topic, subscription) < std::tie(other.topic, other.subscription);
    }
};

using Consumers = std::map<Of, std::string>; // a unit for each

/// Whether this may be the name of a service, which systemd can start: "mail.service", "mail@a.service".
[[nodiscard]] bool is_service_name(const std::string& unit) noexcept;

/// What became of asking for a unit.
struct Outcome {
    /// Of the unit before: "active", "activating", "inactive", "failed (exit-code)"; empty: not known.
    std::string state = {};
    /// Why it was not started, and what to do; empty: it was, or is on its way.
    std::string problem = {};
    bool is_nobody_there = false; // no systemd to ask
};

} // namespace shmbus::activation
