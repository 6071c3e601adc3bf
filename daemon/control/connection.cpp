#include "daemon/control/connection.hpp"

#include "daemon/control/session_server.hpp"

#include <fmt/format.h>

namespace shmbus::control {

namespace {

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
                       std::shared_ptr<ClientState> client, system::Closing closing)
    : client_(std::move(client)), socket_(io, std::move(socket), std::move(closing)),
      stream_(socket_,
              [state = client_.get()] {
                  if (!state->in_flight.empty()) state->in_flight.pop_front();
              }),
      network_(stream_, max_fds_per_message, capnp::rpc::twoparty::Side::SERVER, reader_options()),
      rpc_(capnp::makeRpcServer(connected(stream_, network_), kj::heap<BusServer>(client_))),
      dropped_(kj::newPromiseAndFulfiller<void>()) {}

kj::Promise<void> Connection::run() {
    auto greeted = kj::newPromiseAndFulfiller<void>();
    client_->on_session = kj::mv(greeted.fulfiller);
    const auto& shared = client_->context;
    // The timer ends with the greeting: an idle daemon does not wake up.
    auto said_hello = greeted.promise.then([] { return true; });
    auto greeting = shared.timer.afterDelay(shared.hello_timeout)
                        .then([] { return false; })
                        .exclusiveJoin(kj::mv(said_hello))
                        .then([this](bool said) -> kj::Promise<void> {
                            if (said) return kj::NEVER_DONE;
                            client_->context.peer_log.log(
                                system::messages::peer_silent, client_->about(),
                                fmt::format("{} (pid {}) said no hello; connection closed",
                                            client_->command, client_->peer.pid));
                            return kj::READY_NOW;
                        });
    return network_.onDisconnect()
        .exclusiveJoin(kj::mv(dropped_.promise))
        .exclusiveJoin(kj::mv(greeting));
}

} // namespace shmbus::control
