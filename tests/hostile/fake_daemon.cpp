#include "hostile/fake_daemon.hpp"

#include "control/protocol.hpp"
#include "process/worker.hpp"

#include <algorithm>
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

namespace shmbus::test {

namespace {

class Memory final : public protocol::Memory::Server {
  public:
    explicit Memory(base::Fd fd) : fd_(std::move(fd)) {}
    kj::Maybe<int> getFd() override {
        if (!fd_) return nullptr;
        return fd_.get();
    }

  private:
    base::Fd fd_;
};

Offer offer_for(kj::StringPtr topic, bool publishes) {
    const auto& all = lies();
    const auto lie =
        std::find_if(all.begin(), all.end(), [&](const Lie& l) { return topic == l.topic; });
    Offer offer = honest_offer(publishes);
    if (lie != all.end() && lie->spoil) lie->spoil(offer);
    return offer;
}

void write_access(protocol::TopicAccess::Builder access, Offer& offer) {
    const auto* uuid = offer.uuid.data();
    access.setUuid(kj::arrayPtr(uuid, offer.uuid_bytes));
    const auto* parameters = reinterpret_cast<const kj::byte*>(&offer.parameters);
    access.setParameters(kj::arrayPtr(parameters, offer.parameters_bytes));
    access.setRing(kj::heap<Memory>(std::move(offer.ring)));
    access.setReaders(kj::heap<Memory>(std::move(offer.readers)));
}

class Session final : public protocol::Session::Server {
    kj::Promise<void> openPublisher(OpenPublisherContext context) override {
        auto offer = offer_for(context.getParams().getTopic(), true);
        auto results = context.getResults();
        results.setLease(1);
        results.setEntry(offer.entry);
        results.setPublisher(offer.publisher);
        write_access(results.initAccess(), offer);
        return kj::READY_NOW;
    }
    kj::Promise<void> openSubscriber(OpenSubscriberContext context) override {
        auto offer = offer_for(context.getParams().getTopic(), false);
        auto results = context.getResults();
        results.setLease(1);
        results.setEntry(offer.entry);
        results.setToken(offer.token);
        write_access(results.initAccess(), offer);
        return kj::READY_NOW;
    }
    // Answers that are not about memory, each wrong in another way.
    kj::Promise<void> describeTopic(DescribeTopicContext context) override {
        context.getResults().initTopic().initUuid(3);
        return kj::READY_NOW;
    }
    kj::Promise<void> listTopics(ListTopicsContext context) override {
        auto results = context.getResults();
        results.initTopics(0);
        results.setMore(true); // and never an end
        return kj::READY_NOW;
    }
    kj::Promise<void> createTopic(CreateTopicContext context) override {
        auto refusal = context.getResults().initRefusal();
        refusal.setCode(60'000);
        refusal.setMessage("no reason that this build knows");
        return kj::READY_NOW;
    }
    kj::Promise<void> removeTopic(RemoveTopicContext) override {
        KJ_FAIL_REQUIRE("a promise is broken");
    }
    // drainTopic is not implemented.
};

class Bus final : public protocol::Bus::Server {
    kj::Promise<void> hello(HelloContext context) override {
        context.getResults().setSession(kj::heap<Session>());
        return kj::READY_NOW;
    }
};

/// One client.
struct Connection {
    explicit Connection(kj::Own<kj::AsyncCapabilityStream> with)
        : stream(kj::mv(with)),
          network(*stream, control::max_fds_per_message, capnp::rpc::twoparty::Side::SERVER),
          rpc(capnp::makeRpcServer(network, protocol::Bus::Client(kj::heap<Bus>()))) {}
    kj::Own<kj::AsyncCapabilityStream> stream;
    capnp::TwoPartyVatNetwork network;
    capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

} // namespace

void run_fake_daemon(const std::string& socket) {
    auto io = kj::setupAsyncIo();
    auto address = io.provider->getNetwork()
                       .parseAddress(kj::StringPtr(("unix:" + socket).c_str()))
                       .wait(io.waitScope);
    auto listener = address->listen();
    say("ready");
    std::vector<kj::Own<Connection>> connections;
    for (;;)
        connections.push_back(kj::heap<Connection>(
            listener->accept().wait(io.waitScope).downcast<kj::AsyncCapabilityStream>()));
}

} // namespace shmbus::test
