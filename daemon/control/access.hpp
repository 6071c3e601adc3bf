// Whom a list of users and groups means.
#pragma once

#include <set>
#include <string>
#include <sys/types.h>
#include <vector>

namespace shmbus::control {

/// Who asks, as the kernel says.
struct Subject {
    uid_t uid = 0;
    std::vector<gid_t> groups = {};
};

/// As it is written: user:NAME, group:NAME, *. Numbers will do for names.
struct AccessList {
    bool everybody = false;
    std::vector<std::string> users = {};
    std::vector<std::string> groups = {};
    bool operator==(const AccessList&) const = default;
    /// For people: "user ann, group shmbus"; empty for nobody.
    [[nodiscard]] std::string words() const;
};

/// As this host has them. Those that it does not have admit nobody.
struct Admitted {
    AccessList list = {};
    std::set<uid_t> users = {};
    std::set<gid_t> groups = {};
    std::vector<std::string> missing = {}; // "user ann"

    [[nodiscard]] bool has(const Subject& who) const noexcept;
    /// Whether this means at most root and that user, whoever comes to be in which group.
    [[nodiscard]] bool is_at_most(uid_t user) const noexcept;
};

/// @throws Error(system) when the host cannot be asked
[[nodiscard]] Admitted admitted_by(const AccessList& list);

} // namespace shmbus::control
