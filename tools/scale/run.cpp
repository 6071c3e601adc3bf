#include "tools/scale/run.hpp"

#include "tools/scale/unit_name.hpp"

#include <algorithm>

namespace shmbus::tools::scale {

using Act = Decision::Act;

Load load_of(const TopicInfo& topic, const SubscriptionInfo& subscription) {
    Load load;
    if (subscription.group) load.in_hand = subscription.group->in_flight;
    // One that has not begun begins with the oldest event.
    const Sequence cursor = subscription.cursor.value_or(topic.first - 1);
    if (!subscription.paused && topic.head > cursor) load.lag = topic.head - cursor;
    return load;
}

Run::Run(const Limits& limits, const std::string& unit_template, Manager& manager, Tell tell)
    : scaler_(limits), manager_(manager), tell_(std::move(tell)) {
    for (unsigned number = 1; number <= limits.most; ++number)
        units_.push_back(instance_of(unit_template, number));
}

void Run::round(Clock::time_point now, const Load& load) {
    const auto instances = manager_.look(units_);
    const auto running = static_cast<unsigned>(std::count_if(
        instances.begin(), instances.end(), [](const auto& one) { return one.is_up(); }));
    for (const auto& decision : scaler_.decide(now, load, instances))
        carry_out(now, decision, load, running);
}

void Run::carry_out(Clock::time_point now, const Decision& decision, const Load& load,
                    unsigned running) {
    const auto& unit = units_.at(decision.number - 1);
    try {
        if (decision.act == Act::start) manager_.start(unit);
        if (decision.act == Act::stop) manager_.stop(unit);
    } catch (const Refused& refusal) {
        tell_(scaler_.note_refusal(now, decision.number, refusal.what()), unit, load, running);
        return;
    }
    tell_(decision, unit, load, running);
}

} // namespace shmbus::tools::scale
