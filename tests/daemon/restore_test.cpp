// What clients that mean harm hand back, through the real protocol: nothing of it stays in the daemon, which
// serves the others.
#include "base/memfd.hpp"
#include "control/protocol.hpp"
#include "control/session.hpp"
#include "daemon/raw_client.hpp"
#include "support/daemon_process.hpp"
#include "support/descriptors.hpp"

#include <capnp/serialize.h>
#include <cstring>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace shmbus::control {
namespace {

using namespace std::chrono_literals;
using test::RawClient;
using Message = capnp::rpc::Message;
using Kind = capnp::rpc::CapDescriptor::Which;

constexpr std::uint16_t restore_method = 16;

base::Fd a_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    ::close(ends[1]);
    return base::Fd(ends[0]);
}

class RestoreTest : public testing::Test {
  protected:
    RestoreTest() { session->create_topic("orders", {.retention = Retention::memory}, false); }
    ~RestoreTest() override { EXPECT_TRUE(daemon.process().is_running()); }

    static void greet(RawClient& client) {
        client.bootstrap();
        client.hello();
        (void)client.receive();
        (void)client.receive();
    }
    struct Call {
        std::uint32_t question = 2;
        std::uint16_t method = restore_method;
        unsigned capabilities = 2;
        Kind kind = Kind::SENDER_HOSTED;
        const char* topic = "unknown";
    };
    /// A call with capabilities, and a descriptor for each as far as there are any.
    static void send(RawClient& client, const Call& what, const std::vector<int>& fds) {
        capnp::MallocMessageBuilder message;
        auto call = message.initRoot<Message>().initCall();
        call.setQuestionId(what.question);
        auto target = call.initTarget().initPromisedAnswer();
        target.setQuestionId(1);
        target.initTransform(1)[0].setGetPointerField(0);
        call.setInterfaceId(capnp::typeId<protocol::Session>());
        call.setMethodId(what.method);
        auto table = call.initParams().initCapTable(what.capabilities);
        for (unsigned i = 0; i < what.capabilities; ++i) {
            if (what.kind == Kind::SENDER_PROMISE)
                table[i].setSenderPromise(100 + i);
            else
                table[i].setSenderHosted(100 + i);
            if (i < fds.size()) table[i].setAttachedFd(static_cast<std::uint8_t>(i));
        }
        write_mapped(call.getParams(), what);
        send_bytes(client, test::bytes_of(message), fds);
    }
    /// Pointers to the capabilities of the table: they are sent as they lie.
    static void write_mapped(capnp::rpc::Payload::Builder payload, const Call& what) {
        capnp::BuilderCapabilityTable table;
        auto content = table.imbue(payload.getContent())
                           .initAs<protocol::Session::RestoreParams>()
                           .initMapped();
        content.setTopic(what.topic);
        content.setUuid(kj::heapArray<kj::byte>(16));
        const auto nothing = [] {
            return protocol::Memory::Client(
                kj::Exception(kj::Exception::Type::FAILED, "", 0, kj::str("not called")));
        };
        if (what.capabilities > 0) content.setRing(nothing());
        if (what.capabilities > 1) content.setReaders(nothing());
        if (what.capabilities > 2) content.setCursor(nothing());
    }
    static void send_bytes(RawClient& client, std::vector<std::byte> bytes,
                           const std::vector<int>& fds) {
        iovec data{bytes.data(), bytes.size()};
        alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))]{};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        if (!fds.empty()) {
            message.msg_control = control;
            message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
            auto* rights = CMSG_FIRSTHDR(&message);
            rights->cmsg_level = SOL_SOCKET;
            rights->cmsg_type = SCM_RIGHTS;
            rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
            std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
        }
        ASSERT_EQ(::sendmsg(client.fd(), &message, 0), static_cast<ssize_t>(bytes.size()));
    }
    /// The code of the refusal that answers this question; 0 for an exception.
    static int refusal_of(RawClient& client, std::uint32_t question) {
        for (;;) {
            const auto answer = client.receive();
            if (!answer) throw std::runtime_error("the daemon has hung up");
            capnp::FlatArrayMessageReader reader(*answer);
            const auto message = reader.getRoot<Message>();
            if (!message.isReturn() || message.getReturn().getAnswerId() != question) continue;
            if (!message.getReturn().isResults()) return 0;
            return message.getReturn()
                .getResults()
                .getContent()
                .getAs<protocol::Session::RestoreResults>()
                .getRefusal()
                .getCode();
        }
    }
    [[nodiscard]] std::size_t descriptors() const {
        return test::descriptors(std::to_string(daemon.pid()));
    }
    void expect_service() { EXPECT_EQ(session->describe_topic("orders").name, "orders"); }

    test::DaemonProcess daemon;
    std::shared_ptr<Session> session = Session::connect(daemon.socket(), 30s);
};

TEST_F(RestoreTest, GarbageIsRefusedAndClosed) {
    RawClient client(daemon.socket());
    greet(client);
    const auto before = descriptors();
    const base::Fd unsealed(::memfd_create("unsealed", MFD_CLOEXEC));
    const auto zeros = base::make_memfd("zeros", 1 << 20, 0);
    std::uint32_t question = 2;
    for (const auto* ring : {&unsealed, &zeros})
        for (const auto* readers : {&unsealed, &zeros}) {
            send(client, {.question = question}, {ring->get(), readers->get()});
            EXPECT_EQ(refusal_of(client, question), static_cast<int>(Errc::damaged));
            client.send(RawClient::finish_of(question));
            ++question;
        }
    send(client, {.question = question, .capabilities = 3},
         {zeros.get(), zeros.get(), unsealed.get()});
    EXPECT_EQ(refusal_of(client, question), static_cast<int>(Errc::damaged));
    client.send(RawClient::finish_of(question));
    for (const Deadline end = 30s; descriptors() != before;) ASSERT_FALSE(end.passed());
    expect_service();
}

TEST_F(RestoreTest, WhoSendsWhatIsNoMemoryIsCutOff) {
    const base::Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const auto zeros = base::make_memfd("zeros", 1 << 20, 0);
    RawClient client(daemon.socket());
    greet(client);
    send(client, {.question = 2}, {zeros.get(), file.get()});
    client.expect_hang_up();
    expect_service();
}

TEST_F(RestoreTest, WithoutDescriptorsItIsRefused) {
    RawClient client(daemon.socket());
    greet(client);
    send(client, {}, {});
    EXPECT_EQ(refusal_of(client, 2), static_cast<int>(Errc::damaged));
    send(client, {.question = 3, .capabilities = 0}, {});
    (void)refusal_of(client, 3);
    expect_service();
}

TEST_F(RestoreTest, TheRingOfATopicThatIsThereGoesOn) {
    const auto lease = session->open_subscriber("orders");
    RawClient client(daemon.socket());
    greet(client);
    send(client, {}, {lease.ring.get(), lease.readers.get()});
    EXPECT_NE(refusal_of(client, 2), 0);
    EXPECT_NO_THROW((void)session->open_publisher("orders"));
    const auto info = session->describe_topic("orders");
    EXPECT_EQ(info.subscriber_count, 1U);
}

TEST_F(RestoreTest, WithMoreCapabilitiesThanItHasTheConnectionEnds) {
    RawClient client(daemon.socket());
    greet(client);
    const auto pipe = a_pipe();
    send(client, {.capabilities = 4}, {pipe.get(), pipe.get(), pipe.get(), pipe.get()});
    client.expect_hang_up();
    expect_service();
}

TEST_F(RestoreTest, NoOtherCallHasAny) {
    for (std::uint16_t method = 0; method < restore_method + 5; ++method) {
        if (method == restore_method) continue;
        RawClient client(daemon.socket());
        greet(client);
        const auto pipe = a_pipe();
        send(client, {.method = method, .capabilities = 1}, {pipe.get()});
        client.expect_hang_up();
    }
    expect_service();
}

/// What is promised and never comes costs the call alone, and goes with its connection.
TEST_F(RestoreTest, CapabilitiesThatNeverComeHoldUpNobody) {
    const auto before = descriptors();
    {
        RawClient client(daemon.socket());
        greet(client);
        send(client, {.kind = Kind::SENDER_PROMISE}, {});
        client.send(RawClient::call_of(3, 1));
        EXPECT_TRUE(client.receive()); // it is served on
        expect_service();
    }
    for (const Deadline end = 30s; descriptors() != before;) ASSERT_FALSE(end.passed());
}

} // namespace
} // namespace shmbus::control
