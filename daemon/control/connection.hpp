// One accepted connection: the RPC system on its socket, until somebody ends it.
#pragma once

#include "daemon/control/bounded_stream.hpp"
#include "daemon/control/client_state.hpp"
#include "daemon/control/guarded_socket.hpp"

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

namespace shmbus::control {

class Connection {
  public:
    /// `closing` counts what is being closed of it when it has ended.
    Connection(kj::LowLevelAsyncIoProvider& io, base::Fd socket,
               std::shared_ptr<ClientState> client, system::Closing closing);
    /// Done when the peer hung up, was dropped, or did not say hello in time.
    [[nodiscard]] kj::Promise<void> run();
    void drop() { dropped_.fulfiller->fulfill(); }
    [[nodiscard]] const ClientState& client() const noexcept { return *client_; }

  private:
    std::shared_ptr<ClientState> client_;
    GuardedSocket socket_;
    BoundedStream stream_;
    capnp::TwoPartyVatNetwork network_;
    capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
    kj::PromiseFulfillerPair<void> dropped_;
};

} // namespace shmbus::control
