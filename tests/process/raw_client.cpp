#include "process/raw_client.hpp"

#include "control/protocol.hpp"

#include <capnp/rpc-twoparty.h>
#include <cstring>
#include <fcntl.h>
#include <kj/async-io.h>
#include <stdexcept>

namespace shmbus::test {

namespace {

/// The connection and its event loop; never taken down.
struct Raw {
    explicit Raw(const std::string& socket)
        : io(kj::setupAsyncIo()), stream(connect(socket)),
          network(*stream, control::max_fds_per_message, capnp::rpc::twoparty::Side::CLIENT),
          rpc(capnp::makeRpcClient(network)) {}

    kj::Own<kj::AsyncCapabilityStream> connect(const std::string& socket) {
        auto address = io.provider->getNetwork()
                           .parseAddress(kj::StringPtr(("unix:" + socket).c_str()))
                           .wait(io.waitScope);
        return address->connect().wait(io.waitScope).downcast<kj::AsyncCapabilityStream>();
    }
    protocol::Session::Client hello() {
        capnp::MallocMessageBuilder message;
        auto server = message.getRoot<capnp::rpc::twoparty::VatId>();
        server.setSide(capnp::rpc::twoparty::Side::SERVER);
        auto request = rpc.bootstrap(server).castAs<protocol::Bus>().helloRequest();
        request.setProtocolMajor(protocol::PROTOCOL_MAJOR);
        auto answer = request.send().wait(io.waitScope);
        if (answer.hasRefusal()) throw std::runtime_error(answer.getRefusal().getMessage().cStr());
        return answer.getSession();
    }
    base::Fd descriptor(capnp::Capability::Client memory) {
        const auto fd = memory.getFd().wait(io.waitScope);
        KJ_IF_MAYBE (number, fd) return base::Fd(::fcntl(*number, F_DUPFD_CLOEXEC, 3));
        throw std::runtime_error("no descriptor");
    }
    template <class Answer> RawLease lease(Answer answer) {
        if (answer.hasRefusal()) throw std::runtime_error(answer.getRefusal().getMessage().cStr());
        const auto access = answer.getAccess();
        RawLease lease{.ring = descriptor(access.getRing()),
                       .readers = descriptor(access.getReaders())};
        std::memcpy(&lease.parameters, access.getParameters().begin(), sizeof lease.parameters);
        std::memcpy(lease.uuid.data(), access.getUuid().begin(), lease.uuid.size());
        return lease;
    }

    kj::AsyncIoContext io;
    kj::Own<kj::AsyncCapabilityStream> stream;
    capnp::TwoPartyVatNetwork network;
    capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

} // namespace

RawLease raw_open(const std::string& socket, const std::string& topic, RawRole role) {
    static Raw raw(socket);
    static protocol::Session::Client session = raw.hello();
    if (role == RawRole::publisher) {
        auto request = session.openPublisherRequest();
        request.setTopic(topic.c_str());
        return raw.lease(request.send().wait(raw.io.waitScope));
    }
    auto request = session.openSubscriberRequest();
    request.setTopic(topic.c_str());
    return raw.lease(request.send().wait(raw.io.waitScope));
}

} // namespace shmbus::test
