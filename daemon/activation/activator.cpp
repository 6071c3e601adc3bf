#include "daemon/activation/activator.hpp"

#include "daemon/system/messages.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace shmbus::activation {

void Activator::set(const Consumers& consumers) {
    auto before = std::exchange(consumers_, {});
    for (const auto& [of, unit] : consumers) {
        auto& consumer = consumers_[of];
        // Whoever waits for the next attempt may have put right what was wrong, so that is made now.
        if (const auto old = before.find(of); old != before.end() && old->second.unit == unit)
            consumer.is_asked = old->second.is_asked;
        consumer.unit = unit;
    }
    nobody_there_.clear();
}

void Activator::look(Pace::Time now) {
    for (const auto& answer : starter_.take_answers()) note(answer);
    for (auto& [of, consumer] : consumers_) look(of, consumer, now);
}

void Activator::look(const Of& of, Consumer& consumer, Pace::Time now) {
    const bool was_awake = consumer.demand && consumer.demand->is_awake;
    if (consumer.is_fresh || was_awake || topics_.awake(of.topic)) look_anew(of, consumer);
    if (!consumer.is_wanted()) {
        // While it is held it may fail as before: the pause stays until the cursor moves.
        if (!consumer.demand || !consumer.demand->is_waiting) {
            consumer.pace.rest();
            consumer.told.clear();
        }
        return;
    }
    if (consumer.is_asked || !consumer.pace.is_due(now, consumer.demand->cursor)) return;
    if (consumer.pace.attempts() == 1) consumer.told.clear();
    consumer.is_asked = true;
    starter_.ask({of, consumer.unit});
}

/// What cannot be looked at is in the log for that already.
void Activator::look_anew(const Of& of, Consumer& consumer) {
    consumer.is_fresh = false;
    try {
        consumer.demand = topics_.demand(of.topic, of.subscription);
    } catch (const std::exception& e) {
        consumer.demand.reset();
        const auto problem = fmt::format("topic {}: nobody knows whether subscription {} has work: "
                                         "{}",
                                         of.topic, of.subscription, e.what());
        if (std::exchange(consumer.told, problem) != problem)
            system::log(system::Level::warning, problem);
    }
}

/// Empty: all is well, so far.
std::string Activator::complaint(const Consumer& consumer, const Outcome& outcome) {
    if (!outcome.problem.empty()) return "cannot be started: " + outcome.problem;
    if (outcome.state.starts_with("failed"))
        return "has " + outcome.state + " and is started again";
    if (consumer.pace.attempts() < 2) return {};
    if (outcome.state == "active") return "runs, but does not receive from it";
    if (outcome.state == "inactive")
        return "has ended without receiving from it, and is started again";
    return {};
}

void Activator::note(const Starter::Answer& answer) {
    const auto& [of, unit] = answer.request;
    const auto& outcome = answer.outcome;
    const auto found = consumers_.find(of);
    if (found == consumers_.end()) return;
    auto& consumer = found->second;
    consumer.is_asked = false;
    if (outcome.is_nobody_there) {
        if (std::exchange(nobody_there_, outcome.problem) != outcome.problem)
            system::log(system::Level::error,
                        fmt::format("nobody starts what [Activate] names: {}", outcome.problem));
        return;
    }
    nobody_there_.clear();
    const auto what = complaint(consumer, outcome);
    const system::About about{.topic = of.topic, .subscription = of.subscription};
    if (what.empty() && outcome.state == "inactive")
        system::log(system::messages::consumer_started, about,
                    fmt::format("topic {}: started {}, as subscription {} has work", of.topic, unit,
                                of.subscription));
    if (what.empty() || std::exchange(consumer.told, what) == what) return;
    system::log(system::messages::consumer_not_started, about,
                fmt::format("topic {}: subscription {} has work, and {} {}; asked again after {} s",
                            of.topic, of.subscription, unit, what, consumer.pace.pause().count()));
}

bool Activator::is_waiting_for_answers() const noexcept {
    return std::any_of(consumers_.begin(), consumers_.end(),
                       [](const auto& one) { return one.second.is_asked; });
}

bool Activator::has_chores() const noexcept {
    return std::any_of(consumers_.begin(), consumers_.end(), [](const auto& one) {
        return one.second.is_fresh || one.second.is_wanted() || one.second.is_asked;
    });
}

} // namespace shmbus::activation
