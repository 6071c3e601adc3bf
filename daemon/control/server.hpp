// Accepts connections and keeps them until they end.
//
// It goes on whatever a peer does: a connection beyond a limit is closed at once, and when the
// daemon runs out of descriptors accepting pauses instead of spinning.
#pragma once

#include "daemon/control/connection.hpp"

#include <kj/async-unix.h>
#include <map>
#include <set>

namespace shmbus::control {

class Server final : private kj::TaskSet::ErrorHandler {
  public:
    Server(kj::AsyncIoContext& io, const base::Fd& listener, Context& context);
    ~Server();
    /// Never done.
    [[nodiscard]] kj::Promise<void> serve();
    /// The session is gone: its connection has no use.
    void drop(registry::SessionId session);

  private:
    void admit(base::Fd socket);
    void connect(base::Fd& socket, base::Peer peer);
    [[nodiscard]] bool has_room_for(const ClientState& client);
    void finished(Connection& connection);
    [[nodiscard]] bool has_much_to_close() const;
    void taskFailed(kj::Exception&& e) override;

    kj::AsyncIoContext& io_;
    const base::Fd& listener_;
    Context& context_;
    kj::UnixEventPort::FdObserver incoming_;
    std::set<Connection*> connections_;
    struct OfUser {
        std::size_t connections = 0;
        /// Sockets, and what came through them, that the user may make slow to close.
        system::Closing closing = std::make_shared<std::atomic<unsigned>>(0);
    };
    std::map<uid_t, OfUser> of_user_;
    std::size_t connections_of_strangers_ = 0;
    kj::TaskSet tasks_;
};

} // namespace shmbus::control
