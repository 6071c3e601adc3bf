// What the daemon does by itself. More often than once a second it looks after groups that have members. What it
// does once a second, as long as there is anything to do or something has changed: takes the cursors of durable
// subscriptions, gives up what stopped publishers have begun, starts consumers, puts topics to sleep, and says how
// many there are.
#pragma once

#include "daemon/activation/activator.hpp"
#include "daemon/registry/registry.hpp"
#include "daemon/registry/sessions.hpp"

#include <kj/timer.h>
#include <optional>
#include <string>

namespace shmbus {

class Housekeeping {
  public:
    /// All of these outlive it.
    Housekeeping(kj::Timer& timer, registry::Registry& topics, const registry::Sessions& sessions,
                 activation::Activator& activator);
    /// Something has changed, or is to be done.
    void start();
    /// Says how many there are. @returns whether it will be something else soon
    bool tell();

  private:
    kj::Promise<void> turn();
    kj::Promise<void> put_to_sleep();
    kj::Promise<void> sweep_groups(kj::Duration until);
    [[nodiscard]] bool has_chores() const;
    kj::Timer& timer_;
    registry::Registry& topics_;
    const registry::Sessions& sessions_;
    activation::Activator& activator_;
    const bool tells_;
    std::string told_;
    bool running_ = false;
    unsigned turn_ = 0;
    kj::Promise<void> turns_ = kj::READY_NOW;
    kj::Promise<void> sleeping_ = kj::READY_NOW;
    kj::Promise<void> sweeping_ = kj::READY_NOW;
    std::optional<kj::TimePoint> sweep_at_; // the next time, if there is to be one
};

} // namespace shmbus
