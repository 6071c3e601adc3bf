// What the daemon does once a second, as long as there is anything to do or something has changed: takes the
// cursors of durable subscriptions, gives up what stopped publishers have begun, puts topics to sleep, and says
// how many there are.
#pragma once

#include "daemon/registry/registry.hpp"
#include "daemon/registry/sessions.hpp"

#include <kj/timer.h>
#include <string>

namespace shmbus {

class Housekeeping {
  public:
    Housekeeping(kj::Timer& timer, registry::Registry& topics, const registry::Sessions& sessions);
    /// Something has changed, or is to be done.
    void start();
    /// Says how many there are. @returns whether it will be something else soon
    bool tell();

  private:
    kj::Promise<void> turn();
    kj::Promise<void> put_to_sleep();
    kj::Timer& timer_;
    registry::Registry& topics_;
    const registry::Sessions& sessions_;
    const bool tells_;
    std::string told_;
    bool running_ = false;
    unsigned turn_ = 0;
    kj::Promise<void> turns_ = kj::READY_NOW;
    kj::Promise<void> sleeping_ = kj::READY_NOW;
};

} // namespace shmbus
