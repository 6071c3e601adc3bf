// Messages that no client has a reason to send, or so many of: who sends them is cut off, or refused.
#include "base/mapping.hpp"
#include "control/protocol.hpp"
#include "daemon/control/client_state.hpp"
#include "daemon/hostile_fixture.hpp"
#include "daemon/refusal.hpp"
#include "layout/readers.hpp"

#include <atomic>
#include <capnp/serialize.h>
#include <future>
#include <gmock/gmock.h>
#include <vector>

namespace shmbus::control {
namespace {

using test::RawClient;
using test::refusal;
using testing::HasSubstr;

/// The RPC system would keep a table entry for each.
TEST_F(HostileTest, ACallWithCapabilitiesEndsTheConnection) {
    RawClient client(daemon.socket());
    client.bootstrap();
    client.hello();
    (void)client.receive();
    (void)client.receive();
    capnp::MallocMessageBuilder message;
    auto call = message.initRoot<capnp::rpc::Message>().initCall();
    call.setQuestionId(2);
    auto target = call.initTarget().initPromisedAnswer();
    target.setQuestionId(1);
    target.initTransform(1)[0].setGetPointerField(0);
    call.setInterfaceId(capnp::typeId<protocol::Session>());
    call.initParams().initCapTable(1)[0].setSenderPromise(7);
    client.send(message);
    client.expect_hang_up();
    expect_service();
}

TEST_F(HostileTest, AnAnswerToNothingEndsTheConnection) {
    RawClient client(daemon.socket());
    client.bootstrap();
    (void)client.receive();
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::rpc::Message>().initReturn().setAnswerId(0);
    client.send(message);
    client.expect_hang_up();
    expect_service();
}

TEST_F(HostileTest, MessagesThatNoClientHasAReasonToSendEndTheConnection) {
    using Message = capnp::rpc::Message;
    const auto ends = [&](auto fill) {
        RawClient client(daemon.socket());
        client.bootstrap();
        client.hello(); // else it would be cut off for that, after a while
        (void)client.receive();
        (void)client.receive();
        capnp::MallocMessageBuilder message;
        fill(message.initRoot<Message>());
        client.send(message);
        client.expect_hang_up();
    };
    // The RPC system would keep what it knows of the connection for ever.
    ends([](Message::Builder to) {
        auto resolve = to.initResolve();
        resolve.setPromiseId(2);
        resolve.initCap().setSenderPromise(2);
    });
    ends([](Message::Builder to) { to.initUnimplemented().initResolve().initCap(); });
    ends([](Message::Builder to) { to.initDisembargo().initContext().setSenderLoopback(1); });
    ends([](Message::Builder to) { to.initProvide().setQuestionId(1); });
    ends([](Message::Builder to) { to.initAccept().setQuestionId(1); });
    ends([](Message::Builder to) { to.initJoin().setQuestionId(1); });
    expect_service();
}

TEST_F(HostileTest, ManyDrainsUnderWayAreRefused) {
    RawClient client(daemon.socket());
    client.bootstrap();
    client.hello();
    (void)client.receive();
    (void)client.receive();
    const auto lease = session->open_subscriber("orders");
    // A subscriber that is attached and never acknowledges keeps a drain waiting.
    const base::Mapping readers(lease.readers, base::Access::read_write,
                                layout::readers_geometry_of(lease.parameters).total_bytes);
    const auto publisher = session->open_publisher("orders");
    const base::Mapping ring(publisher.ring, base::Access::read_write,
                             layout::geometry_of(lease.parameters).total_bytes);
    reinterpret_cast<layout::RingHeader*>(ring.bytes().data())->tail.store_release(2);
    reinterpret_cast<layout::ReaderEntry*>(readers.bytes().data() +
                                           layout::readers_geometry_of(lease.parameters).entries)
        ->attach.store_release(layout::attach_word(lease.token, layout::ReaderMode::gate));
    constexpr std::uint32_t refused_question = 2 + ClientState::max_drains;
    for (std::uint32_t question = 2; question <= refused_question; ++question) {
        capnp::MallocMessageBuilder message;
        auto call = message.initRoot<capnp::rpc::Message>().initCall();
        call.setQuestionId(question);
        auto target = call.initTarget().initPromisedAnswer();
        target.setQuestionId(1);
        target.initTransform(1)[0].setGetPointerField(0);
        call.setInterfaceId(capnp::typeId<protocol::Session>());
        call.setMethodId(4);
        auto parameters =
            call.initParams().getContent().initAs<protocol::Session::DrainTopicParams>();
        parameters.setName("orders");
        parameters.setTimeoutMs(60'000);
        client.send(message);
    }
    const auto answer = client.receive(); // the only one: the others wait
    ASSERT_TRUE(answer);
    capnp::FlatArrayMessageReader reader(*answer);
    const auto returned = reader.getRoot<capnp::rpc::Message>().getReturn();
    EXPECT_EQ(returned.getAnswerId(), refused_question);
    const auto refused =
        returned.getResults().getContent().getAs<protocol::Session::DrainTopicResults>();
    EXPECT_EQ(refused.getRefusal().getCode(), static_cast<int>(Errc::limit));
    expect_service();
}

} // namespace
} // namespace shmbus::control
