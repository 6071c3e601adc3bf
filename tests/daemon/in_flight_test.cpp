// Descriptors that wait to be sent: kj queues their numbers, so a topic whose descriptors are on
// their way must outlive its removal. Otherwise the client would be sent whatever got these numbers
// next: the memory of somebody else's topic.
//
// The test stops reading until the daemon cannot write to it, has a subscriber opened, takes every
// other reason away why the topic should live, has other topics made, and then looks at what comes.
#include "control/protocol.hpp"
#include "control/session.hpp"
#include "daemon/raw_client.hpp"
#include "support/daemon_process.hpp"

#include <cstring>
#include <filesystem>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace shmbus::control {
namespace {

using namespace std::chrono_literals;
using test::RawClient;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint16_t describe_method = 2;
constexpr std::uint16_t open_subscriber_method = 6;
constexpr std::uint16_t release_method = 12;
constexpr std::uint32_t open_question = 1'000'000;

int waiting_bytes(int fd) {
    int bytes = 0;
    EXPECT_EQ(::ioctl(fd, FIONREAD, &bytes), 0);
    return bytes;
}

/// Asks until the daemon's answers do not arrive any more: its end of the socket is full.
void clog(RawClient& client) {
    int before = -1;
    for (std::uint32_t question = 2; waiting_bytes(client.fd()) != before; ++question) {
        before = waiting_bytes(client.fd());
        client.send(RawClient::call_of(question, describe_method));
        client.send(RawClient::finish_of(question));
        // Too short a wait makes the test see less, not fail.
        for (int i = 0; i < 20 && waiting_bytes(client.fd()) == before; ++i) ::poll(nullptr, 0, 1);
    }
}

void open_subscriber(RawClient& client, const char* topic) {
    capnp::MallocMessageBuilder message;
    auto call = message.initRoot<capnp::rpc::Message>().initCall();
    call.setQuestionId(open_question);
    auto target = call.initTarget().initPromisedAnswer();
    target.setQuestionId(1);
    target.initTransform(1)[0].setGetPointerField(0);
    call.setInterfaceId(capnp::typeId<protocol::Session>());
    call.setMethodId(open_subscriber_method);
    call.initParams().getContent().initAs<protocol::Session::OpenSubscriberParams>().setTopic(
        topic);
    client.send(message);
}

void release_lease(RawClient& client) {
    capnp::MallocMessageBuilder message;
    auto call = message.initRoot<capnp::rpc::Message>().initCall();
    call.setQuestionId(open_question + 1);
    auto target = call.initTarget().initPromisedAnswer();
    target.setQuestionId(1);
    target.initTransform(1)[0].setGetPointerField(0);
    call.setInterfaceId(capnp::typeId<protocol::Session>());
    call.setMethodId(release_method); // its first lease, and the daemon's
    call.initParams().getContent().initAs<protocol::Session::ReleaseParams>().setLease(1);
    client.send(message);
    client.send(RawClient::finish_of(open_question + 1));
}

/// Reads until descriptors come; what they are, as /proc has it.
std::vector<std::string> next_descriptors(int fd) {
    for (;;) {
        char buffer[4096];
        iovec data{buffer, sizeof buffer};
        alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))]{};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
        if (::poll(&readable, 1, 30'000) != 1 || ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC) <= 0)
            return {};
        const auto* rights = CMSG_FIRSTHDR(&message);
        if (rights == nullptr) continue;
        std::vector<std::string> names;
        for (std::size_t at = CMSG_LEN(0); at < rights->cmsg_len; at += sizeof(int)) {
            int received = -1;
            std::memcpy(&received, reinterpret_cast<const char*>(rights) + at, sizeof received);
            const base::Fd owned(received);
            names.push_back(
                std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(received))
                    .string());
        }
        return names;
    }
}

TEST(InFlight, DescriptorsAreStillThoseOfTheirTopic) {
    test::DaemonProcess daemon;
    const auto session = Session::connect(daemon.socket(), 30s);
    const TopicOptions small{.capacity = 64,
                             .slot_bytes = 128,
                             .max_event = 64,
                             .pool_bytes = 0,
                             .retention = Retention::memory};
    session->create_topic("mine", small, false);
    RawClient client(daemon.socket());
    client.bootstrap();
    client.hello();
    clog(client);

    const auto subscribers = [&] { return session->describe_topic("mine").subscriber_count; };
    const Deadline deadline = 30s;
    open_subscriber(client, "mine");
    while (subscribers() != 1) ASSERT_FALSE(deadline.passed());
    release_lease(client);
    while (subscribers() != 0) ASSERT_FALSE(deadline.passed());
    client.send(RawClient::finish_of(open_question)); // with it goes what the answer holds
    session->remove_topic("mine", true);
    for (const char* name : {"theirs", "theirs-2", "theirs-3"})
        session->create_topic(name, small, false);

    EXPECT_THAT(next_descriptors(client.fd()), ElementsAre(HasSubstr("shmbus-thread")))
        << "with the answer to hello";
    EXPECT_THAT(next_descriptors(client.fd()),
                ElementsAre(HasSubstr("shmbus-ring-mine"), HasSubstr("shmbus-readers-mine")));
}

} // namespace
} // namespace shmbus::control
