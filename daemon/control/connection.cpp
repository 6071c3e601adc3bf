#include "daemon/control/connection.hpp"

#include "daemon/control/session_server.hpp"

#include <fmt/format.h>

namespace shmbus::control {

namespace {

constexpr auto hello_timeout = 10 * kj::SECONDS;

kj::Own<kj::AsyncCapabilityStream> wrap(kj::LowLevelAsyncIoProvider& io, base::Fd socket) {
    using Io = kj::LowLevelAsyncIoProvider;
    return io.wrapUnixSocketFd(socket.release(),
                               Io::TAKE_OWNERSHIP | Io::ALREADY_CLOEXEC | Io::ALREADY_NONBLOCK);
}

capnp::ReaderOptions reader_options() {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = max_message_words;
    return options;
}

/// The stream must know its network before the RPC system begins to read from it.
capnp::TwoPartyVatNetwork& connected(BoundedStream& stream, capnp::TwoPartyVatNetwork& network) {
    stream.set_network(network);
    return network;
}

} // namespace

Connection::Connection(kj::LowLevelAsyncIoProvider& io, base::Fd socket,
                       std::shared_ptr<ClientState> client)
    : client_(std::move(client)), socket_(wrap(io, std::move(socket))),
      stream_(*socket_,
              [state = client_.get()] {
                  if (!state->in_flight.empty()) state->in_flight.pop_front();
              }),
      network_(stream_, max_fds_per_message, capnp::rpc::twoparty::Side::SERVER, reader_options()),
      rpc_(capnp::makeRpcServer(connected(stream_, network_), kj::heap<BusServer>(client_))),
      dropped_(kj::newPromiseAndFulfiller<void>()) {}

kj::Promise<void> Connection::run() {
    auto greeted = kj::newPromiseAndFulfiller<void>();
    client_->on_session = kj::mv(greeted.fulfiller);
    auto silent = client_->context.timer.afterDelay(hello_timeout).then([this] {
        client_->context.peer_log.log(
            system::Level::notice,
            fmt::format("{} (pid {}) said no hello; connection closed", client_->command,
                        client_->peer.pid));
    });
    // A session ends the timer: an idle daemon does not wake up.
    auto forever = greeted.promise.then([]() -> kj::Promise<void> { return kj::NEVER_DONE; });
    return network_.onDisconnect()
        .exclusiveJoin(kj::mv(dropped_.promise))
        .exclusiveJoin(silent.exclusiveJoin(kj::mv(forever)));
}

} // namespace shmbus::control
