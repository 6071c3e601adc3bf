#include "daemon/control/policy.hpp"

#include "base/system_error.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <grp.h>
#include <unistd.h>

namespace shmbus::control {

namespace {

bool in_group(const Subject& who, std::optional<gid_t> group) noexcept {
    return group && std::find(who.groups.begin(), who.groups.end(), *group) != who.groups.end();
}

std::string how_to_join(const Subject& who, const char* group, bool exists) {
    return fmt::format("{}usermod -aG {} \"$(id -nu {})\", and log in again",
                       exists ? "" : fmt::format("groupadd --system {}, restart shmbusd, ", group),
                       group, who.uid);
}

std::optional<gid_t> group_id(const char* name) {
    std::vector<char> buffer(4096);
    group entry{};
    group* found = nullptr;
    int rc = 0;
    while ((rc = ::getgrnam_r(name, &entry, buffer.data(), buffer.size(), &found)) == ERANGE)
        buffer.resize(2 * buffer.size());
    // "Not found" has many names: see getgrnam(3).
    if (rc != 0 && rc != ENOENT && rc != ESRCH && rc != EBADF && rc != EPERM)
        base::throw_system(std::string("looking up the group ") + name, rc);
    return found == nullptr ? std::nullopt : std::optional(found->gr_gid);
}

} // namespace

bool Policy::is_master(const Subject& who) const noexcept {
    return who.uid == 0 || who.uid == owner_;
}

bool Policy::may_connect(const Subject& who) const noexcept {
    return may_use(who) || in_group(who, admins_);
}

bool Policy::may_use(const Subject& who) const noexcept {
    return is_master(who) || in_group(who, users_);
}

bool Policy::may_administer(const Subject& who, uid_t creator) const noexcept {
    return is_master(who) || who.uid == creator || in_group(who, admins_);
}

bool Policy::has_to_itself(const Subject& who) const noexcept {
    return who.uid == owner_ && !users_;
}

std::string Policy::why_not_use(const Subject& who) const {
    return fmt::format("user {} may not use this bus: only root, user {} and the group {} may; as "
                       "root: {}",
                       who.uid, owner_, users_group,
                       how_to_join(who, users_group, users_.has_value()));
}

std::string Policy::why_not_administer(const Subject& who, uid_t creator) const {
    return fmt::format("user {} may not do this: only the topic's creator (user {}), root, user {} "
                       "and the group {} may; as root: {}",
                       who.uid, creator, owner_, admins_group,
                       how_to_join(who, admins_group, admins_.has_value()));
}

Policy policy_of_this_host(bool is_private) {
    if (is_private) return {::geteuid(), std::nullopt, std::nullopt};
    return {::geteuid(), group_id(Policy::users_group), group_id(Policy::admins_group)};
}

} // namespace shmbus::control
