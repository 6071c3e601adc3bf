#include "daemon/control/access.hpp"

#include "base/system_error.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <grp.h>
#include <optional>
#include <pwd.h>

namespace shmbus::control {

namespace {

std::optional<std::uint32_t> number(const std::string& text) {
    std::uint32_t value = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end) return std::nullopt;
    return value;
}

/// getpwnam_r() or getgrnam_r().
template <class Entry, class Look>
std::optional<Entry> look_up(const std::string& name, const char* what, Look look) {
    std::vector<char> buffer(4096);
    Entry entry{};
    Entry* found = nullptr;
    int rc = 0;
    while ((rc = look(name.c_str(), &entry, buffer.data(), buffer.size(), &found)) == ERANGE)
        buffer.resize(2 * buffer.size());
    // "Not found" has many names: see getgrnam(3).
    if (rc != 0 && rc != ENOENT && rc != ESRCH && rc != EBADF && rc != EPERM)
        base::throw_system(std::string("looking up the ") + what + ' ' + name, rc);
    return found == nullptr ? std::nullopt : std::optional(entry);
}

std::optional<std::uint32_t> user_id(const std::string& name) {
    if (const auto id = number(name)) return id;
    const auto entry = look_up<passwd>(name, "user", ::getpwnam_r);
    return entry ? std::optional(entry->pw_uid) : std::nullopt;
}

std::optional<std::uint32_t> group_id(const std::string& name) {
    if (const auto id = number(name)) return id;
    const auto entry = look_up<group>(name, "group", ::getgrnam_r);
    return entry ? std::optional(entry->gr_gid) : std::nullopt;
}

} // namespace

std::string AccessList::words() const {
    if (everybody) return "everybody";
    std::string words;
    const auto add = [&](const char* what, const std::vector<std::string>& names) {
        for (const auto& name : names) words += (words.empty() ? "" : ", ") + (what + name);
    };
    add("user ", users);
    add("group ", groups);
    return words;
}

bool Admitted::has(const Subject& who) const noexcept {
    return list.everybody || users.contains(who.uid) ||
           std::any_of(who.groups.begin(), who.groups.end(),
                       [&](gid_t group) { return groups.contains(group); });
}

bool Admitted::is_at_most(uid_t user) const noexcept {
    return !list.everybody && groups.empty() &&
           std::all_of(users.begin(), users.end(),
                       [&](uid_t admitted) { return admitted == 0 || admitted == user; });
}

Admitted admitted_by(const AccessList& list) {
    Admitted admitted{.list = list};
    for (const auto& name : list.users) {
        if (const auto id = user_id(name))
            admitted.users.insert(*id);
        else
            admitted.missing.push_back("user " + name);
    }
    for (const auto& name : list.groups) {
        if (const auto id = group_id(name))
            admitted.groups.insert(*id);
        else
            admitted.missing.push_back("group " + name);
    }
    return admitted;
}

} // namespace shmbus::control
