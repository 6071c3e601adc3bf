// shmbusd in this process, put together as daemon/main.cpp does it; but its time passes when a fuzzer says so.
//
// It is made once and serves all inputs: what one of them leaves behind is found when it ends.
#pragma once

#include "daemon/control/server.hpp"
#include "daemon/housekeeping.hpp"
#include "daemon/supervisor/supervisor.hpp"
#include "daemon/system/listener.hpp"
#include "support/temporary_directory.hpp"

#include <set>

namespace shmbus::test {

/// Whom the bus's policy admits, and whom it does not. The fuzzer itself is root.
inline constexpr uid_t admitted_user = 65'534;
inline constexpr uid_t stranger = 65'533;

/// Topics that are there all the time. Nobody but root may use the first one; the second one is on disk.
inline constexpr const char* private_topic = "private";
inline constexpr const char* disk_topic = "disk";
inline constexpr const char* shared_topic = "shared";

/// A group of the shared topic's.
inline constexpr const char* own_group = "ours";

/// What topics are made with: small and, but for the one on disk, in memory.
[[nodiscard]] TopicOptions small_options();

class Daemon {
  public:
    Daemon();
    [[nodiscard]] const std::string& socket() const noexcept { return path_; }

    /// Serves until there is nothing left to do.
    void turn() { io.waitScope.poll(); }
    /// Lets time pass, and serves what is due then.
    void pass(kj::Duration time);
    /// The processes of all sessions but this one have died.
    void end_all_but(registry::SessionId session);

  private:
    TemporaryDirectory directory_{"/dev/shm"}; // whose syncs cost nothing
    std::string path_ = directory_.path() / "bus.sock";
    system::Listener listener_{path_, 0666};
    std::set<registry::SessionId> alive_;
    std::function<void(registry::SessionId)> on_gone_;
    system::DescriptorStore descriptors_;
    spiller::Storage storage_{directory_.path() / "state"};

  public:
    kj::AsyncIoContext io = kj::setupAsyncIo();
    kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
    registry::Registry topics{1, &storage_, &descriptors_};
    registry::Sessions sessions{[this](registry::SessionId id) { on_gone_(id); }};

  private:
    supervisor::Supervisor supervisor_{io.unixEventPort, sessions, descriptors_};
    activation::Activator activator_{topics, [](const auto&) { return activation::Outcome(); }};
    Housekeeping house_{timer, topics, sessions, activator_};
    std::function<void(registry::SessionId, base::Fd)> watch_ = [this](registry::SessionId id,
                                                                       base::Fd pidfd) {
        alive_.insert(id);
        supervisor_.watch(id, std::move(pidfd));
        house_.start();
    };
    registry::HandBack hand_back_{topics, sessions, watch_};

  public:
    control::Context context;

  private:
    control::Server server_{io, listener_.fd(), context};
    kj::Promise<void> serving_ = nullptr;
};

} // namespace shmbus::test
