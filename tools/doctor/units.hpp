// The units that systemd runs the daemon by.
#pragma once

#include "tools/doctor/finding.hpp"
#include "tools/doctor/process.hpp"

#include <map>
#include <optional>

namespace shmbus::tools::doctor {

/// A unit's properties, as systemctl show has them.
using Properties = std::map<std::string, std::string>;

struct UnitFacts {
    bool is_users = false; ///< of the user's manager
    Properties service = {};
    Properties socket = {}; ///< empty: the service is not one that is started at its socket
    [[nodiscard]] bool are_installed() const;
    /// Whether the service has failed, and would be started once more by a connection.
    [[nodiscard]] bool would_be_tried_again() const;
    /// Whether the service runs this process, and not one that it has left behind.
    [[nodiscard]] bool run(std::uint32_t pid) const;
};

/// What systemctl show prints of several units, by their names.
[[nodiscard]] std::map<std::string, Properties> parse_units(const std::string& text);

struct UnitsLook {
    bool in_vain = false; ///< there is a systemd, and it could not be asked
    std::optional<UnitFacts> units = {};
};
/// Asks systemd, if this host runs by it, for 5 seconds at most. Of no service nothing.
[[nodiscard]] UnitsLook look_at_units(const Service& service);

/// `daemon` is that of the bus, if somebody is there at its socket.
[[nodiscard]] Findings findings_of(const UnitFacts& facts, const std::optional<Process>& daemon);

} // namespace shmbus::tools::doctor
