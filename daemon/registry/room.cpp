// What one more topic has room in; charged before it is made.
#include "daemon/registry/limits.hpp"
#include "daemon/registry/registry.hpp"
#include "daemon/system/memory.hpp"
#include "daemon/system/service.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

namespace shmbus::registry {

namespace {
constexpr std::uint64_t mib = 1U << 20U;
} // namespace

void Registry::check_count(uid_t creator) const {
    std::size_t count = 0;
    for (const auto& [name, topic] : topics_) count += topic->creator() == creator ? 1U : 0U;
    for (const auto& [name, asleep] : asleep_) count += asleep.record.creator == creator ? 1U : 0U;
    if (count >= limits_.topics_per_user)
        throw Error(
            Errc::limit,
            fmt::format(
                "user {} has {} topics, the most a user may have: remove some (shmbus topic rm), "
                "or raise TopicsPerUser= of [Limits] in the configuration (man shmbusd.conf)",
                creator, count));
}

std::uint64_t Registry::memory_used_by(uid_t creator) const {
    std::uint64_t used = 0;
    const auto charge = [&](Topic& topic) {
        if (topic.creator() == creator) used += topic.need().allocated;
        used += topic.subscriptions().memory_of(creator);
    };
    for (const auto& [name, topic] : topics_) charge(*topic);
    for (const auto& removed : removed_)
        if (const auto topic = removed.lock()) charge(*topic);
    return used;
}

void Registry::find_room_for_group(Topic& topic, const std::string& group, uid_t creator) const {
    if (topic.subscriptions().has_memory(group)) return;
    const std::uint64_t used = memory_used_by(creator);
    if (layout::group_bytes <= limits_.memory_per_user - std::min(used, limits_.memory_per_user))
        return;
    throw Error(Errc::limit,
                fmt::format("a group needs {} KiB, and what user {} has takes {} of the {} MiB a "
                            "user may have: remove topics (shmbus topic rm), or raise "
                            "MemoryPerUser= of [Limits] in the configuration (man shmbusd.conf)",
                            layout::group_bytes / 1024, creator, used / mib,
                            limits_.memory_per_user / mib));
}

/// For one more that is awake, when no others can be put to sleep for it.
void Registry::find_room(uid_t creator, const MemoryNeed& need) {
    while (const auto lacking = shortage(creator, need))
        if (need.allocated > limits_.memory_per_user || !put_one_to_sleep(lacking->of))
            throw Error(Errc::limit, lacking->what);
}

std::optional<Registry::Shortage> Registry::shortage(uid_t creator, const MemoryNeed& need) {
    std::size_t all = 0;
    std::size_t own = 0;
    const auto charge = [&](const Topic& topic) {
        ++all;
        if (topic.creator() != creator) return;
        ++own;
    };
    for (const auto& [name, topic] : topics_) charge(*topic);
    std::erase_if(removed_, [](const auto& topic) { return topic.expired(); });
    for (const auto& removed : removed_)
        if (const auto topic = removed.lock()) charge(*topic);
    const std::uint64_t used = memory_used_by(creator);
    const std::size_t files = system::descriptor_limit();
    const std::size_t for_topics =
        files - std::min(files / 2, descriptors_for_connections(limits_));
    if ((all + 1) * descriptors_per_topic > for_topics)
        return Shortage{fmt::format(
            "the daemon may open {} files, which is enough for {} topics in use at a time: "
            "remove some (shmbus topic rm), or start it with a higher limit (ulimit -n, "
            "LimitNOFILE=)",
            files, all)};
    // A fifth is for the others. Root and the daemon's own user can have all: the others have theirs from them.
    if (creator != 0 && creator != ::geteuid() &&
        (own + 1) * descriptors_per_topic > for_topics - for_topics / 5)
        return Shortage{
            fmt::format(
                "the daemon may open {} files, and user {} has {} topics in use, four fifths of "
                "what that is enough for: remove some (shmbus topic rm), or start it with a "
                "higher limit (ulimit -n, LimitNOFILE=)",
                files, creator, own),
            creator};
    if (need.allocated > limits_.memory_per_user - std::min(used, limits_.memory_per_user))
        return Shortage{fmt::format("this topic needs {} MiB, and the topics of user {} have {} of "
                                    "the {} MiB a user may have: ask for fewer or smaller slots, "
                                    "remove topics (shmbus topic rm), or raise MemoryPerUser= of "
                                    "[Limits] in the configuration (man shmbusd.conf)",
                                    need.allocated / mib + 1, creator, used / mib,
                                    limits_.memory_per_user / mib),
                        creator};
    // Allocating more than there is would not fail: somebody would be killed for it.
    if (const auto available = system::available_memory(); need.allocated > available / 2)
        return Shortage{
            fmt::format("this topic needs {} MiB, and the host has {} MiB available: ask "
                        "for fewer or smaller slots",
                        need.allocated / mib + 1, available / mib)};
    return std::nullopt;
}

} // namespace shmbus::registry
