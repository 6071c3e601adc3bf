#include "daemon/control/server.hpp"

#include "base/pidfd.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>

namespace shmbus::control {

namespace {
constexpr unsigned accepts_per_turn = 16;
constexpr auto pause_when_short = 100 * kj::MILLISECONDS;
constexpr std::size_t most_to_close = 1024;
} // namespace

Server::Server(kj::AsyncIoContext& io, const base::Fd& listener, Context& context)
    : io_(io), listener_(listener), context_(context),
      incoming_(io.unixEventPort, listener.get(), kj::UnixEventPort::FdObserver::OBSERVE_READ),
      tasks_(*this) {}

Server::~Server() = default;

kj::Promise<void> Server::serve() {
    if (has_much_to_close())
        return context_.timer.afterDelay(pause_when_short).then([this] { return serve(); });
    for (unsigned i = 0; i < accepts_per_turn; ++i) {
        base::Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket) {
            admit(std::move(socket));
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EAGAIN)
            return incoming_.whenBecomesReadable().then([this] { return serve(); });
        context_.peer_log.log(
            system::Level::warning,
            fmt::format("accepting a connection: {}; trying again soon", std::strerror(errno)));
        return context_.timer.afterDelay(pause_when_short).then([this] { return serve(); });
    }
    return kj::evalLater([this] { return serve(); });
}

bool Server::has_room_for(const ClientState& client) {
    const auto& shares = context_.shares;
    const auto& user = of_user_[client.peer.uid];
    const auto own = user.connections + *user.closing;
    // Whatever the others do, root can look after the bus.
    if (client.peer.uid == 0) return own < shares.connections_of_root;
    if (client.is_stranger)
        return connections_of_strangers_ + *user.closing < shares.connections_of_strangers;
    const auto others = connections_.size() - of_user_[0].connections - connections_of_strangers_;
    return own < shares.connections_per_user && others < shares.connections;
}

void Server::admit(base::Fd socket) {
    system::Closing closing;
    try {
        auto peer = base::peer_of(socket);
        closing = of_user_[peer.uid].closing;
        connect(socket, std::move(peer));
    } catch (const std::exception& e) {
        context_.peer_log.log(system::Level::warning,
                              fmt::format("a connection was closed at once: {}", e.what()));
    } catch (const kj::Exception& e) {
        context_.peer_log.log(
            system::Level::warning,
            fmt::format("a connection was closed at once: {}", e.getDescription().cStr()));
    }
    system::close_elsewhere(std::move(socket), closing); // if it was not taken
}

/// Takes the socket, or leaves it to be closed.
void Server::connect(base::Fd& socket, base::Peer peer) {
    auto pidfd = base::pidfd_of_peer(socket, peer.pid);
    if (!pidfd) return; // it is dead already, and has nothing here
    auto command = base::command_of(peer.pid);
    auto client = std::make_shared<ClientState>(
        ClientState{context_, std::move(peer), std::move(command), std::move(pidfd)});
    client->is_stranger = !context_.policy.may_connect(client->subject());
    if (!has_room_for(*client)) {
        context_.peer_log.log(
            system::messages::peer_refused, client->about(),
            fmt::format("{} (pid {}, user {}): too many connections, closed; to allow "
                        "more: SessionsPerUser= of [Limits], or more descriptors (ulimit "
                        "-n, LimitNOFILE=)",
                        client->command, client->peer.pid, client->peer.uid));
        return;
    }
    auto& user = of_user_[client->peer.uid];
    auto connection = kj::heap<Connection>(*io_.lowLevelProvider, std::move(socket),
                                           std::move(client), user.closing);
    auto& running = *connection;
    connections_.insert(&running);
    ++user.connections;
    if (running.client().is_stranger) ++connections_of_strangers_;
    tasks_.add(running.run()
                   .catch_([this](kj::Exception&& e) { taskFailed(kj::mv(e)); })
                   .then([this, &running] { finished(running); })
                   .attach(kj::mv(connection)));
}

bool Server::has_much_to_close() const {
    std::size_t sum = 0;
    for (const auto& [uid, user] : of_user_) sum += *user.closing;
    return sum > most_to_close;
}

void Server::finished(Connection& connection) {
    connections_.erase(&connection);
    const auto& client = connection.client();
    --of_user_[client.peer.uid].connections;
    std::erase_if(of_user_, [](const auto& each) {
        return each.second.connections == 0 && *each.second.closing == 0;
    });
    if (client.is_stranger) --connections_of_strangers_;
    if (!client.session) return;
    const bool over = context_.sessions.connection_closed(*client.session);
    context_.peer_log.log(system::messages::session_hung_up, client.about(),
                          fmt::format("session {}: {} (pid {}) hung up{}", *client.session,
                                      client.command, client.peer.pid,
                                      over ? "" : "; what it holds stays until it is dead"));
}

void Server::drop(registry::SessionId session) {
    for (auto* connection : connections_)
        if (connection->client().session == session) connection->drop();
}

void Server::taskFailed(kj::Exception&& e) {
    system::log(system::Level::error, fmt::format("a connection: {}", e.getDescription().cStr()));
}

} // namespace shmbus::control
