// What a user's topics may take of the disk, charged when a topic is made: what its files are allowed to grow to,
// since nobody can say later, when the disk is full, whose events are to go.
#include "daemon/registry/registry.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <unistd.h>

namespace shmbus::registry {

namespace {

constexpr auto no_limit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t sum(std::uint64_t a, std::uint64_t b) { return a > no_limit - b ? no_limit : a + b; }

/// With its smallest segment, the spare one, and small files.
constexpr std::uint64_t least = 1U << 20U;

/// The most that its files take: what is to be kept, and the newest event, however large that is.
std::uint64_t charge_of(const TopicOptions& options) {
    if (options.retention == Retention::memory) return 0;
    const auto keep = spiller::disk_policy_of(options).keep;
    const auto most = keep.hold_cap_bytes.value_or(keep.max_bytes.value_or(no_limit));
    return sum(std::max(most, least), options.max_event);
}

std::string shown(std::uint64_t bytes) {
    return bytes == no_limit ? "all there is"
                             : fmt::format("{} MiB", (bytes + (1U << 20U) - 1) >> 20U);
}

} // namespace

/// Root and the daemon's own user have the disk, whatever is said here.
void Registry::check_disk(uid_t creator, const TopicOptions& options) const {
    if (creator == 0 || creator == ::geteuid()) return;
    const auto wanted = charge_of(options);
    std::uint64_t used = 0;
    const auto charge = [&](uid_t owner, const TopicOptions& of) {
        if (owner == creator) used = sum(used, charge_of(of));
    };
    for (const auto& [name, topic] : topics_) charge(topic->creator(), topic->options());
    for (const auto& [name, asleep] : asleep_) charge(asleep.record.creator, asleep.record.options);
    if (wanted == 0 || sum(used, wanted) <= limits_.disk_per_user) return;
    throw Error(
        Errc::limit,
        fmt::format(
            "this topic may take {} of the disk, and those of user {} {} of the {} a user may "
            "have: ask for less (--keep-bytes, and no --hold, which takes 4 times as much), "
            "remove topics (shmbus topic rm), or raise DiskPerUser= of [Limits] in the "
            "configuration (man shmbusd.conf)",
            shown(wanted), creator, shown(used), shown(limits_.disk_per_user)));
}

} // namespace shmbus::registry
