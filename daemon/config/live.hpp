// The configuration of a daemon that runs: what it changes there, at the start and whenever it is read again.
//
// Whatever it says is for what comes after: who has a topic open goes on with it, and who has more than a limit
// keeps it. A configuration with a mistake changes nothing.
#pragma once

#include "daemon/activation/activator.hpp"
#include "daemon/config/files.hpp"
#include "daemon/control/client_state.hpp"

namespace shmbus::config {

class Live {
  public:
    /// `settings`: what was read from `source`. They hold from now on for what `context` has, and the activator,
    /// which both outlive this.
    /// Nobody but its own user and root can reach a private bus, so there are no rules for others.
    /// @throws Error(system)
    Live(Source source, Settings settings, bool is_private, control::Context& context,
         activation::Activator& activator);
    /// Makes those of the declared topics that are not there, once nobody can hand them back any more; those
    /// that differ from what was declared are in the log.
    [[nodiscard]] kj::Promise<void> make_topics();
    /// Reads it again. What is wrong with it, or waits for the daemon's next start, is in the log.
    void reload();

  private:
    void enter(Settings settings);
    void declare_all();
    void declare(const std::string& name, const DeclaredTopic& topic);
    void note_what_waits() const;
    const Source source_;
    Settings settings_;
    const Settings at_start_;
    const bool is_private_;
    control::Context& context_;
    activation::Activator& activator_;
    kj::Promise<void> reloading_ = kj::READY_NOW;
};

} // namespace shmbus::config
