// Scaling, round by round.
#pragma once

#include "tools/scale/manager.hpp"

#include <shmbus/group.hpp>
#include <shmbus/types.hpp>

#include <functional>
#include <optional>
#include <string>

namespace shmbus::tools::scale {

/// What there is to do for a durable subscription. What a paused one has to do waits.
[[nodiscard]] Load load_of(const TopicInfo& topic, const SubscriptionInfo& subscription);

/// Looks, decides, and has it done.
class Run {
  public:
    /// What is told of a decision.
    using Tell = std::function<void(const Decision& decision, const std::string& unit,
                                    const Load& load, unsigned running)>;

    /// `manager` outlives it.
    Run(const Limits& limits, const std::string& unit_template, Manager& manager, Tell tell);
    /// @throws as Manager
    void round(Clock::time_point now, const Load& load);

  private:
    void carry_out(Clock::time_point now, const Decision& decision, const Load& load,
                   unsigned running);
    Scaler scaler_;
    std::vector<std::string> units_;
    Manager& manager_;
    const Tell tell_;
};

} // namespace shmbus::tools::scale
