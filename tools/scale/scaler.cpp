#include "tools/scale/scaler.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools::scale {

namespace {

using namespace std::chrono_literals;
using Act = Decision::Act;
using State = Instance::State;

constexpr auto shortest_pause = 5s;
constexpr auto longest_pause = 300s;

unsigned count_up(std::span<const Instance> instances) {
    return static_cast<unsigned>(std::count_if(instances.begin(), instances.end(),
                                               [](const auto& one) { return one.is_up(); }));
}

bool is_any(std::span<const Instance> instances, State state) {
    return std::any_of(instances.begin(), instances.end(),
                       [&](const auto& one) { return one.state == state; });
}

} // namespace

const char* name_of(Act act) noexcept {
    switch (act) {
    case Act::start: return "start";
    case Act::stop: return "stop";
    case Act::note_failure: return "failed";
    }
    return "unknown";
}

std::vector<Decision> Scaler::decide(Clock::time_point now, const Load& load, Instances instances) {
    std::vector<Decision> decisions;
    note_failures(now, instances, decisions);
    if (!load.is_none())
        idle_since_.reset();
    else if (!idle_since_)
        idle_since_ = now;
    grow(now, load, instances, decisions);
    shrink(now, load, instances, decisions);
    return decisions;
}

Decision Scaler::fail(Clock::time_point now, unsigned number, const std::string& why) {
    pause_ = std::clamp<std::chrono::seconds>(2 * pause_, shortest_pause, longest_pause);
    not_before_ = now + pause_;
    return {Act::note_failure, number,
            fmt::format("{}; none is started for {}", why, format_duration(pause_))};
}

Decision Scaler::note_refusal(Clock::time_point now, unsigned number, const std::string& why) {
    return fail(now, number, why);
}

void Scaler::note_failures(Clock::time_point now, Instances instances, std::vector<Decision>& to) {
    // As long again without one: all is well.
    if (not_before_ && now >= *not_before_ + pause_) {
        not_before_.reset();
        pause_ = 0s;
    }
    const bool is_first = told_.empty(); // what failed before is nobody's news
    told_.resize(instances.size(), false);
    for (std::size_t i = 0; i < instances.size(); ++i) {
        const bool is_failed = instances[i].state == State::failed;
        if (is_failed && !told_[i] && !is_first)
            to.push_back(fail(now, static_cast<unsigned>(i) + 1, instances[i].result));
        told_[i] = is_failed;
    }
}

/// The first that does not run. One that is stopping is left alone until it has.
bool Scaler::start(Instances instances, const std::string& why, std::vector<Decision>& to) {
    for (std::size_t i = 0; i < instances.size(); ++i) {
        const auto number = static_cast<unsigned>(i) + 1;
        const bool is_chosen = std::any_of(to.begin(), to.end(), [&](const auto& decision) {
            return decision.act == Act::start && decision.number == number;
        });
        if (is_chosen || instances[i].is_up() || instances[i].state == State::stopping) continue;
        to.push_back({Act::start, number, why});
        told_[i] = false;
        return true;
    }
    return false;
}

void Scaler::grow(Clock::time_point now, const Load& load, Instances instances,
                  std::vector<Decision>& to) {
    high_ = load.lag > limits_.lag && !is_any(instances, State::starting) ? high_ + 1 : 0;
    if (not_before_ && now < *not_before_) return;
    auto up = count_up(instances);
    while (up < limits_.least && start(instances, "there are to be so many", to)) ++up;
    if (up == 0 && !load.is_none()) {
        start(instances, fmt::format("there is work, lag {}, and none runs", load.lag), to);
        high_ = 0;
    } else if (high_ >= limits_.rounds && up < limits_.most) {
        start(instances,
              fmt::format("lag {} is above {} for {} rounds", load.lag, limits_.lag, high_), to);
        high_ = 0;
    }
}

/// The last one that runs.
void Scaler::shrink(Clock::time_point now, const Load& load, Instances instances,
                    std::vector<Decision>& to) {
    if (!load.is_none() || now - *idle_since_ < limits_.idle ||
        count_up(instances) <= limits_.least)
        return;
    const auto last = std::find_if(instances.rbegin(), instances.rend(),
                                   [](const auto& one) { return one.is_up(); });
    to.push_back({Act::stop, static_cast<unsigned>(instances.rend() - last),
                  fmt::format("idle for {}", format_duration(limits_.idle))});
    idle_since_ = now; // and the next one as much later
}

} // namespace shmbus::tools::scale
