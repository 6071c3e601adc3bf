// What has happened to a topic of late that somebody may miss events for.
#include "tools/doctor/topics.hpp"
#include "tools/output.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace shmbus::tools::doctor {

namespace {

constexpr const char* check = "incidents";

struct Sum {
    std::uint64_t times = 0;
    std::uint64_t events = 0;
};

/// Of those kinds where somebody may ask for an event.
std::vector<std::string> told(std::map<IncidentKind, Sum>& sums) {
    std::vector<std::string> parts;
    const auto tell = [&](IncidentKind kind, const char* form, std::uint64_t Sum::*what,
                          const char* unit) {
        if (const auto found = sums.find(kind); found != sums.end())
            parts.push_back(fmt::format(fmt::runtime(form), counted(found->second.*what, unit)));
    };
    tell(IncidentKind::lost, "{} went with the memory", &Sum::events, "event");
    tell(IncidentKind::stalled, "{} in vain, as publishers were stopped in the middle",
         &Sum::events, "sequence");
    tell(IncidentKind::aborted, "{} in vain, as publishers died in the middle", &Sum::events,
         "sequence");
    tell(IncidentKind::evicted, "{} too far behind to be waited for", &Sum::times, "subscriber");
    tell(IncidentKind::degraded, "the disk took no events, {}", &Sum::times, "time");
    return parts;
}

} // namespace

Findings findings_of_incidents(const TopicFacts& facts, const std::string& self) {
    std::map<IncidentKind, Sum> sums;
    for (const Incident& incident : facts.incidents) {
        auto& sum = sums[incident.kind];
        ++sum.times;
        if (incident.first != 0) sum.events += incident.last - incident.first + 1;
    }
    const auto parts = told(sums);
    if (parts.empty()) return {};
    return {{Severity::note, check,
             fmt::format("topic '{}' in the last hour: {}", facts.now.name, fmt::join(parts, "; ")),
             fmt::format("see which, who and when: {} topic incidents {}", self,
                         quoted(facts.now.name)),
             facts.now.name}};
}

} // namespace shmbus::tools::doctor
