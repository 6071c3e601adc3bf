// Clients that keep the files they are given: their user gets no more of them, until they let go.
#include "control/protocol.hpp"
#include "control/session.hpp"
#include "daemon/control/shares.hpp"
#include "daemon/raw_client.hpp"
#include "support/daemon_process.hpp"
#include "support/descriptors.hpp"

#include <capnp/serialize.h>
#include <gmock/gmock.h>
#include <optional>

namespace shmbus::control {
namespace {

using namespace std::chrono_literals;
using test::RawClient;
using Message = capnp::rpc::Message;

constexpr std::uint16_t open_subscriber = 6;
constexpr std::uint16_t release = 12;

class ClientFilesTest : public testing::Test {
  protected:
    ClientFilesTest() { session->create_topic("orders", {.retention = Retention::memory}, false); }

    /// A hoarder's question; its parameters are still to come.
    capnp::rpc::Call::Builder call(capnp::MessageBuilder& message, std::uint16_t method) {
        auto call = message.initRoot<Message>().initCall();
        call.setQuestionId(++question);
        auto target = call.initTarget().initPromisedAnswer();
        target.setQuestionId(1);
        target.initTransform(1)[0].setGetPointerField(0);
        call.setInterfaceId(capnp::typeId<protocol::Session>());
        call.setMethodId(method);
        return call;
    }
    /// The call is over; what came with its answer stays the client's.
    void finish(RawClient& client) const {
        capnp::MallocMessageBuilder message;
        auto finish = message.initRoot<Message>().initFinish();
        finish.setQuestionId(question);
        finish.setReleaseResultCaps(false);
        client.send(message);
    }
    /// Takes the subscription over from itself; the lease, or 0 and why not.
    std::uint64_t take_over(RawClient& client) {
        capnp::MallocMessageBuilder message;
        auto parameters = call(message, open_subscriber)
                              .initParams()
                              .getContent()
                              .initAs<protocol::Session::OpenSubscriberParams>();
        parameters.setTopic("orders");
        parameters.setName("hoard");
        parameters.setSteal(true);
        client.send(message);
        const auto answer = client.receive();
        if (!answer) throw std::runtime_error("the daemon hung up");
        capnp::FlatArrayMessageReader reader(*answer);
        const auto results = reader.getRoot<Message>()
                                 .getReturn()
                                 .getResults()
                                 .getContent()
                                 .getAs<protocol::Session::OpenSubscriberResults>();
        refused = to_string(results.getRefusal().getMessage());
        code = static_cast<Errc>(results.getRefusal().getCode());
        finish(client);
        return results.getLease();
    }
    void let_go(RawClient& client, std::uint64_t lease) {
        capnp::MallocMessageBuilder message;
        call(message, release)
            .initParams()
            .getContent()
            .initAs<protocol::Session::ReleaseParams>()
            .setLease(lease);
        client.send(message);
        (void)client.receive();
        finish(client);
    }
    [[nodiscard]] std::size_t descriptors() const {
        return test::descriptors(std::to_string(daemon.pid()));
    }
    test::DaemonProcess daemon{{"--memory-only"}};
    std::shared_ptr<Session> session = Session::connect(daemon.socket(), 30s);
    std::uint32_t question = 1;
    std::string refused;
    Errc code{};
};

TEST_F(ClientFilesTest, AreCountedUntilTheyAreLetGo) {
    const auto before = descriptors();
    std::optional<RawClient> hoarder(daemon.socket());
    hoarder->bootstrap();
    hoarder->hello();
    (void)hoarder->receive();
    (void)hoarder->receive();
    const std::size_t most = shares_of({}, 1U << 20U).files_per_user;
    std::size_t taken = 0;
    while (const auto lease = take_over(*hoarder)) {
        let_go(*hoarder, lease);
        ASSERT_LE(++taken, most);
    }
    EXPECT_EQ(code, Errc::limit);
    EXPECT_THAT(refused, testing::HasSubstr("files open that clients of user"));
    EXPECT_EQ(taken, most - 1) << "one came with the session";
    EXPECT_LE(descriptors(), before + most + 8);
    EXPECT_EQ(session->describe_topic("orders").name, "orders");
    hoarder.reset();
    for (const Deadline deadline = 30s;;) { // the daemon learns of it when it learns of it
        try {
            (void)session->open_subscriber("orders", "mine");
            break;
        } catch (const Error& e) {
            ASSERT_EQ(e.code(), Errc::limit);
            ASSERT_FALSE(deadline.passed());
        }
    }
}

} // namespace
} // namespace shmbus::control
