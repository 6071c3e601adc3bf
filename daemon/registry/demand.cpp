// Whether a durable subscription needs somebody who receives from it.
#include "daemon/registry/registry.hpp"
#include "shmbus/error.hpp"

#include <algorithm>

namespace shmbus::registry {

namespace {

Registry::Demand demand_of(Sequence first, Sequence head,
                           const std::optional<Subscriptions::Info>& subscription) {
    Registry::Demand demand;
    const bool has_begun = subscription && subscription->record.begun;
    // One that has not begun, or is not there yet, begins with the oldest event.
    demand.cursor = has_begun ? subscription->record.cursor : first - 1;
    demand.is_waiting = head > demand.cursor;
    demand.is_held =
        subscription &&
        (subscription->holder || (subscription->group && !subscription->group->members.empty()));
    demand.is_paused = subscription && subscription->record.paused;
    return demand;
}

} // namespace

std::optional<Registry::Demand> Registry::demand(const std::string& topic,
                                                 const std::string& subscription) {
    if (const auto found = awake(topic)) {
        auto demand = demand_of(found->first_hint(), found->head_hint(),
                                found->subscriptions().find(subscription));
        demand.is_awake = true;
        return demand;
    }
    const auto asleep = asleep_.find(topic);
    if (asleep == asleep_.end()) return std::nullopt;
    const auto extent = entry_of(topic, asleep->second).extent;
    const auto all = subscriptions(topic);
    const auto own = std::find_if(all.begin(), all.end(),
                                  [&](const auto& one) { return one.name == subscription; });
    return demand_of(extent.first, extent.head,
                     own == all.end() ? std::nullopt : std::optional(*own));
}

} // namespace shmbus::registry
