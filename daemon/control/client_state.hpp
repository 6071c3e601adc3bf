// What the servers of one connection share: who the peer is, and what it holds of the daemon.
//
// Shared by the connection and by every capability that was handed out over it, because a call
// under way can outlive the connection by a moment.
#pragma once

#include "base/fd.hpp"
#include "base/peer.hpp"
#include "daemon/control/policy.hpp"
#include "daemon/control/shares.hpp"
#include "daemon/registry/hand_back.hpp"
#include "daemon/registry/registry.hpp"
#include "daemon/registry/sessions.hpp"
#include "daemon/system/messages.hpp"

#include <deque>
#include <functional>
#include <kj/async.h>
#include <kj/timer.h>
#include <map>
#include <optional>

namespace shmbus::control {

/// What all connections share.
struct Context {
    registry::Registry& registry;
    registry::Sessions& sessions;
    Policy policy;
    kj::Timer& timer;
    /// A connection that has said no hello by then is closed.
    const kj::Duration hello_timeout;
    registry::HandBack& hand_back;
    /// Takes the pidfd of a new session's process.
    const std::function<void(registry::SessionId, base::Fd)> watch;
    /// Makes the robust futex that the library's thread in such a process is to hold.
    const std::function<base::Fd(registry::SessionId)> watch_thread;
    /// Somebody publishes, or holds a durable subscription, whose cursor is to be taken every now and then; or a
    /// topic may have lost its last user; or there are more or fewer of something than before.
    const std::function<void()> keep_house;
    Shares shares;
    system::ThrottledLog peer_log = {};
    /// Files that are with clients, or on their way there.
    std::size_t files = 0;
    std::map<uid_t, std::size_t> files_of_user = {};
};

struct ClientState {
    static constexpr unsigned max_drains = 8;
    static constexpr unsigned max_capabilities = 4'096;
    static constexpr std::size_t max_in_flight = 256;

    Context& context;
    const base::Peer peer;
    const std::string command;
    base::Fd pidfd;           // until the session has it
    bool is_stranger = false; // when it came, the policy did not admit it
    std::optional<registry::SessionId> session = {};
    kj::Own<kj::PromiseFulfiller<void>> on_session = {};
    unsigned drains = 0;       // under way
    unsigned capabilities = 0; // that it holds: leases and memory
    /// What has the descriptors that are on their way. kj queues their bare numbers, so they must stay
    /// open until they are sent, whatever the peer asks for meanwhile: otherwise it could be sent
    /// what got the same number next. One for each answer, in order, taken off as answers are sent.
    /// An answer that the peer cancels is never sent; then they stay a little longer than need
    /// be.
    std::deque<std::shared_ptr<const void>> in_flight = {};

    [[nodiscard]] Subject subject() const { return {peer.uid, peer.groups}; }
    /// For the log.
    [[nodiscard]] system::About about() const {
        return {.pid = static_cast<std::uint32_t>(peer.pid), .uid = peer.uid};
    }
};

/// Counts while it lives.
class Counted {
  public:
    Counted(std::shared_ptr<ClientState> client, unsigned ClientState::*counter)
        : client_(std::move(client)), counter_(counter) {
        ++((*client_).*counter_);
    }
    ~Counted() {
        if (client_) --((*client_).*counter_);
    }
    Counted(Counted&&) noexcept = default;
    Counted& operator=(Counted&&) = delete;
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

  private:
    std::shared_ptr<ClientState> client_;
    unsigned ClientState::*counter_;
};

} // namespace shmbus::control
