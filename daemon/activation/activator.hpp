// Starts the consumers of durable subscriptions when there is work and nobody who does it.
//
// [Activate TOPIC/NAME] of the configuration says which unit of systemd that is. Once a second each of these
// subscriptions is looked at: if there are events behind its cursor, and nobody receives from it, systemd is asked
// for the unit, again and again, with growing pauses, until somebody gets on with them. The unit may end when it
// has nothing to do. Work comes by publishers alone, so of topics that are asleep one look is enough: when they
// fall asleep, and at the start and the reload.
#pragma once

#include "daemon/activation/pace.hpp"
#include "daemon/activation/starter.hpp"
#include "daemon/registry/registry.hpp"

namespace shmbus::activation {

class Activator {
  public:
    Activator(registry::Registry& topics, Starter::Start start)
        : topics_(topics), starter_(std::move(start)) {}
    /// These, and no others, from now on.
    void set(const Consumers& consumers);
    void look(Pace::Time now = std::chrono::steady_clock::now());
    /// Whether look() is to be called again, although nothing else happens.
    [[nodiscard]] bool has_chores() const noexcept;
    /// Whether systemd has been asked and has not answered, or look() has not seen it yet.
    [[nodiscard]] bool is_waiting_for_answers() const noexcept;

  private:
    struct Consumer {
        std::string unit;
        Pace pace = {};
        std::optional<registry::Registry::Demand> demand = {}; // as it was at the last look
        bool is_fresh = true;                                  // nobody has looked yet
        bool is_asked = false;                                 // and has not answered
        std::string told = {}; // the last complaint, so that it is not said again and again
        [[nodiscard]] bool is_wanted() const noexcept {
            return demand && demand->is_waiting && !demand->is_held && !demand->is_paused;
        }
    };
    void look(const Of& of, Consumer& consumer, Pace::Time now);
    void look_anew(const Of& of, Consumer& consumer);
    void note(const Starter::Answer& answer);
    static std::string complaint(const Consumer& consumer, const Outcome& outcome);
    registry::Registry& topics_;
    std::map<Of, Consumer> consumers_;
    std::string nobody_there_; // as it was said
    Starter starter_;
};

} // namespace shmbus::activation
