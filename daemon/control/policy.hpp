// Who may do what on this bus: a pure function of who asks and what the bus's groups are.
//
//                        the bus's own user, root   group shmbus   group shmbus-admin   creator
//     hello, look                 yes                   yes              yes
//     create, publish,            yes                   yes
//       subscribe
//     remove, drain               yes                                    yes             yes
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace shmbus::control {

/// Who asks, as the kernel says.
struct Subject {
    uid_t uid = 0;
    std::vector<gid_t> groups = {};
};

class Policy {
  public:
    static constexpr const char* users_group = "shmbus";
    static constexpr const char* admins_group = "shmbus-admin";

    /// Groups that do not exist on this host admit nobody.
    Policy(uid_t owner, std::optional<gid_t> users, std::optional<gid_t> admins) noexcept
        : owner_(owner), users_(users), admins_(admins) {}

    [[nodiscard]] bool may_connect(const Subject& who) const noexcept;
    [[nodiscard]] bool may_use(const Subject& who) const noexcept;
    [[nodiscard]] bool may_administer(const Subject& who, uid_t creator) const noexcept;
    /// Whether nobody else but root may publish.
    [[nodiscard]] bool has_to_itself(const Subject& who) const noexcept;

    /// What to tell somebody who may not, with the remedy.
    [[nodiscard]] std::string why_not_use(const Subject& who) const;
    [[nodiscard]] std::string why_not_administer(const Subject& who, uid_t creator) const;

  private:
    [[nodiscard]] bool is_master(const Subject& who) const noexcept;
    uid_t owner_;
    std::optional<gid_t> users_;
    std::optional<gid_t> admins_;
};

/// The policy of a daemon that runs as this process's user, with the host's groups of today; they
/// admit nobody to a private bus, whose socket only its own user and root can reach.
[[nodiscard]] Policy policy_of_this_host(bool is_private);

} // namespace shmbus::control
