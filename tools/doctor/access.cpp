#include "tools/doctor/access.hpp"

#include "tools/command.hpp"

#include <shmbus/log.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <grp.h>
#include <mutex>
#include <pwd.h>
#include <unistd.h>
#include <vector>

namespace shmbus::tools::doctor {

namespace {

constexpr const char* check = "access";

std::set<gid_t> groups_of_this_process() {
    std::vector<gid_t> groups(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
    const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    groups.resize(static_cast<std::size_t>(std::max(count, 0)));
    groups.push_back(::getegid());
    return {groups.begin(), groups.end()};
}

std::vector<gid_t> groups_of_the_host(const passwd& user) {
    std::vector<gid_t> groups(64);
    auto count = static_cast<int>(groups.size());
    if (::getgrouplist(user.pw_name, user.pw_gid, groups.data(), &count) < 0) {
        groups.resize(static_cast<std::size_t>(count)); // what it needs
        if (::getgrouplist(user.pw_name, user.pw_gid, groups.data(), &count) < 0) return {};
    }
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

/// The groups that it would take: those of the bus, and those that a refusal names.
std::vector<std::string> groups_that_help(const User& user, const std::string& message) {
    std::vector<std::string> names;
    for (const auto& name : user.groups_to_come)
        if (name == "shmbus" || name == "shmbus-admin" ||
            (' ' + message).find(" group " + name) != std::string::npos)
            names.push_back(name);
    return names;
}

Finding log_in_again(Severity severity, const User& user, const std::string& what,
                     const std::string& group) {
    return {severity, check,
            fmt::format("{}{} is in group {} only since this login session began", what,
                        user.name.empty() ? fmt::format("user {}", user.id) : user.name, group),
            fmt::format("log in again; for one command: sg {} -c 'shmbus …'", group)};
}

Finding refused(const Refusal& refusal, const User& user) {
    if (refusal.code == Errc::permission)
        if (const auto groups = groups_that_help(user, refusal.message); !groups.empty())
            return log_in_again(Severity::error, user, "the daemon refuses you: ", groups.front());
    return finding_of(refusal);
}

} // namespace

User current_user() {
    User user{.id = ::geteuid()};
    const passwd* const entry = ::getpwuid(user.id);
    if (entry == nullptr) return user;
    user.name = entry->pw_name;
    const auto here = groups_of_this_process();
    for (const gid_t group : groups_of_the_host(*entry))
        if (!here.contains(group))
            if (const ::group* const found = ::getgrgid(group); found != nullptr)
                user.groups_to_come.insert(found->gr_name);
    return user;
}

Finding finding_of(const Refusal& refusal) {
    switch (refusal.code) {
    case Errc::timed_out:
        return {Severity::error, check, refusal.message,
                "see what it does: ps -C shmbusd -o pid,stat,wchan,cmd"};
    case Errc::disconnected:
        return {Severity::error, check, refusal.message,
                "try again; if that does not help see its log: journalctl -u shmbusd -n 50"};
    case Errc::incompatible:
        return {Severity::error, check, refusal.message,
                "once both are of one version, start the daemon again"};
    default: return from_message(Severity::error, check, refusal.message);
    }
}

std::string version_in(std::string_view line) {
    constexpr std::string_view before = ", shmbusd ";
    const auto found = line.rfind(before);
    if (!line.starts_with("connected to the daemon at ") || found == std::string_view::npos)
        return {};
    return std::string(line.substr(found + before.size()));
}

Greeting greet(const BusOptions& options) {
    Greeting greeting;
    std::mutex mutex;
    set_log_handler([&](LogLevel, std::string_view line) {
        const std::lock_guard lock(mutex);
        if (auto version = version_in(line); !version.empty())
            greeting.version = std::move(version);
    });
    try {
        greeting.bus.emplace(connect(options));
    } catch (const Error& error) {
        greeting.refusal = {error.code(), error.what()};
    }
    set_log_handler({});
    return greeting;
}

Findings findings_of(const Greeting& greeting, const User& user, const std::string& version) {
    Findings findings;
    if (greeting.refusal) findings.push_back(refused(*greeting.refusal, user));
    if (!greeting.version.empty() && greeting.version != version)
        findings.push_back({Severity::warning, check,
                            fmt::format("the daemon is of version {}, this program of {}",
                                        greeting.version, version),
                            "start the daemon again once both are installed in the same version"});
    if (greeting.refusal) return findings;
    const auto groups = groups_that_help(user, "");
    for (const auto& group : groups)
        findings.push_back(log_in_again(Severity::note, user, "", group));
    return findings;
}

} // namespace shmbus::tools::doctor
