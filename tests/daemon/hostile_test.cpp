// Clients that mean harm, or are broken: the daemon lives, and serves the others all the time.
#include "base/mapping.hpp"
#include "control/protocol.hpp"
#include "control/session.hpp"
#include "daemon/control/client_state.hpp"
#include "daemon/control/shares.hpp"
#include "daemon/hostile_fixture.hpp"
#include "daemon/refusal.hpp"
#include "layout/readers.hpp"

#include <atomic>
#include <capnp/serialize.h>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <gmock/gmock.h>
#include <grp.h>
#include <random>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::control {
namespace {

using namespace std::chrono_literals;
using test::RawClient;
using test::refusal;
using testing::HasSubstr;

/// A conversation as a client has it: bootstrap, hello, and some calls.
std::vector<std::byte> conversation() {
    std::vector<std::byte> all;
    const auto add = [&](capnp::MessageBuilder& message) {
        const auto bytes = test::bytes_of(message);
        all.insert(all.end(), bytes.begin(), bytes.end());
    };
    capnp::MallocMessageBuilder first;
    first.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
    add(first);
    for (std::uint32_t question = 1; question < 8; ++question) {
        capnp::MallocMessageBuilder message;
        auto call = message.initRoot<capnp::rpc::Message>().initCall();
        call.setQuestionId(question);
        auto target = call.initTarget().initPromisedAnswer();
        target.setQuestionId(question == 1 ? 0 : 1);
        if (question != 1) target.initTransform(1)[0].setGetPointerField(0);
        call.setInterfaceId(question == 1 ? capnp::typeId<protocol::Bus>()
                                          : capnp::typeId<protocol::Session>());
        call.setMethodId(static_cast<std::uint16_t>(question == 1 ? 0 : question - 2));
        auto content = call.initParams().getContent();
        if (question == 1) {
            content.initAs<protocol::Bus::HelloParams>().setProtocolMajor(1);
        } else {
            auto parameters = content.initAs<protocol::Session::CreateTopicParams>();
            parameters.setName("victim"); // the first text of every method is a topic's name
            write_options({}, parameters.initOptions());
        }
        add(message);
    }
    return all;
}

TEST_F(HostileTest, GarbageHarmsNobody) {
    std::mt19937_64 random(20'240'501);
    for (int round = 0; round < 200; ++round) {
        RawClient client(daemon.socket());
        std::vector<std::byte> garbage(random() % 3000);
        for (auto& byte : garbage) byte = static_cast<std::byte>(random());
        if (round % 2 == 0) { // a plausible head: few segments of few words
            const std::uint32_t head[2] = {static_cast<std::uint32_t>(random() % 4),
                                           static_cast<std::uint32_t>(random() % 300)};
            garbage.resize(std::max(garbage.size(), sizeof head));
            std::memcpy(garbage.data(), head, sizeof head);
        }
        client.send(garbage);
    }
    expect_service();
}

TEST_F(HostileTest, TruncatedConversationsHarmNobody) {
    const auto whole = conversation();
    for (std::size_t length = 0; length <= whole.size(); length += 8 + length % 5) {
        RawClient client(daemon.socket());
        client.send(Bytes(whole).first(std::min(length, whole.size())));
    }
    expect_service();
}

TEST_F(HostileTest, MutatedConversationsHarmNobody) {
    const auto whole = conversation();
    std::mt19937_64 random(42);
    for (int round = 0; round < 400; ++round) {
        auto mutated = whole;
        for (std::uint64_t flips = 1 + random() % 8; flips != 0; --flips)
            mutated[random() % mutated.size()] = static_cast<std::byte>(random());
        RawClient client(daemon.socket());
        client.send(mutated);
        if (round % 2 == 0) client.read_until_quiet(); // the end must not overtake the calls
        ::shutdown(client.fd(), SHUT_WR);
        client.expect_hang_up();
    }
    expect_service();
}

TEST_F(HostileTest, AMessageBeyondTheLimitEndsTheConnection) {
    RawClient client(daemon.socket());
    const std::uint32_t head[2] = {0, 64 * 1024 / 8 + 1};
    client.send(std::as_bytes(std::span(head)));
    client.expect_hang_up();
    expect_service();
}

TEST_F(HostileTest, DescriptorsThatNobodyAskedForAreClosed) {
    RawClient client(daemon.socket());
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const base::Fd ours(pipe[0]);
    base::Fd theirs(pipe[1]);
    auto bytes = conversation();
    iovec data{bytes.data(), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    auto* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = theirs.get();
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    ASSERT_EQ(::sendmsg(client.fd(), &message, 0), static_cast<ssize_t>(bytes.size()));
    theirs = {};
    char end = 0;
    EXPECT_EQ(::read(ours.get(), &end, 1), 0) << "the pipe's other end is closed everywhere";
    expect_service();
}

TEST_F(HostileTest, WhoNeverReadsIsReadNoMore) {
    RawClient client(daemon.socket());
    client.bootstrap();
    client.hello();
    const auto before = resident_bytes();
    constexpr std::size_t much = 32U << 20U;
    std::size_t sent = 0;
    for (std::uint32_t question = 2; sent < much; ++question) {
        const auto size = client.send(RawClient::call_of(question, 2)) +
                          client.send(RawClient::finish_of(question));
        if (size == 0) break; // the daemon takes no more
        sent += size;
    }
    EXPECT_LT(sent, much);
    EXPECT_LT(resident_bytes(), before + (24U << 20U)); // with a sanitizer's overhead
    expect_service();
}

TEST_F(HostileTest, WhoNeverFinishesItsCallsIsCutOff) {
    RawClient client(daemon.socket());
    client.bootstrap();
    client.hello();
    for (std::uint32_t question = 2; question < 1000; ++question) {
        if (client.send(RawClient::call_of(question, 2)) == 0) break;
        if (!client.receive()) break;
    }
    client.expect_hang_up();
    expect_service();
}

TEST_F(HostileTest, WhoTalksWithoutEndIsNotTheOnlyOneServed) {
    RawClient client(daemon.socket());
    client.bootstrap();
    client.hello();
    std::vector<std::byte> chatter; // made before, so that the daemon is never ahead
    for (std::uint32_t question = 2; question < 200; ++question)
        for (const auto& part : {RawClient::call_of(question, 2), RawClient::finish_of(question)})
            chatter.insert(chatter.end(), part.begin(), part.end());
    std::atomic<bool> enough = false;
    auto talks = std::async(std::launch::async, [&] {
        while (!enough && client.send(chatter) == chatter.size()) {
        }
    });
    auto listens = std::async(std::launch::async, [&] {
        char buffer[65'536];
        while (::recv(client.fd(), buffer, sizeof buffer, 0) > 0) {
        }
    });
    for (int i = 0; i < 100; ++i) expect_service();
    enough = true;
    talks.get();
    ::shutdown(client.fd(), SHUT_RDWR);
}

TEST(HelloTest, IsAwaitedForAWhileOnly) {
    test::DaemonProcess daemon({"--test-hello-timeout", "50"});
    RawClient greeted(daemon.socket());
    greeted.bootstrap();
    greeted.hello();
    (void)greeted.receive();
    (void)greeted.receive();
    RawClient silent(daemon.socket());
    silent.bootstrap();
    silent.expect_hang_up();
    daemon.process().wait_for_log("said no hello");
    // The other one is older, and was not cut off.
    greeted.send(RawClient::call_of(2, 2));
    EXPECT_TRUE(greeted.receive());
}

TEST_F(HostileTest, ASecondHelloIsRefused) {
    RawClient client(daemon.socket());
    client.bootstrap();
    client.hello();
    (void)client.receive(); // bootstrap
    (void)client.receive(); // hello
    client.send(RawClient::finish_of(1));
    client.hello();
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    capnp::FlatArrayMessageReader reader(*answer);
    const auto results = reader.getRoot<capnp::rpc::Message>()
                             .getReturn()
                             .getResults()
                             .getContent()
                             .getAs<protocol::Bus::HelloResults>();
    EXPECT_EQ(results.getRefusal().getCode(), static_cast<int>(Errc::busy));
}

TEST_F(HostileTest, AFloodOfConnectionsEndsByItself) {
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    constexpr std::size_t flood = 2'000;
    if (limit.rlim_cur < flood + 100) GTEST_SKIP() << "needs more descriptors";
    std::vector<RawClient> clients;
    clients.reserve(flood);
    for (std::size_t i = 0; i < flood; ++i) clients.emplace_back(daemon.socket());
    EXPECT_EQ(session->describe_topic("orders").name, "orders") << "who was there is served on";
    daemon.process().wait_for_log("too many connections");
    clients[400].expect_hang_up(); // beyond what one user may have
    clients.clear();
    // The daemon learns of the hang-ups one by one.
    for (const Deadline deadline = 30s;;) {
        try {
            (void)Session::connect(daemon.socket(), 30s);
            break;
        } catch (const Error& e) {
            ASSERT_EQ(e.code(), Errc::disconnected);
            ASSERT_FALSE(deadline.passed());
        }
    }
    expect_service();
}

/// Who may not use the bus may not use up its connections either.
TEST_F(HostileTest, StrangersTogetherHaveOnlySoManyConnections) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    std::filesystem::permissions(daemon.directory(), std::filesystem::perms(0755));
    const pid_t stranger = ::fork();
    ASSERT_GE(stranger, 0);
    if (stranger == 0) {
        int status = 1;
        try {
            if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0)
                ::_exit(2);
            std::vector<RawClient> clients;
            for (std::size_t i = 0; i < most_strangers; ++i) clients.emplace_back(daemon.socket());
            RawClient(daemon.socket()).expect_hang_up();
            clients.back().bootstrap();
            if (clients.back().receive()) status = 0; // those within the limit are served
        } catch (const std::exception& e) {
            std::fprintf(stderr, "%s\n", e.what());
        }
        ::_exit(status);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(stranger, &status, 0), stranger);
    EXPECT_EQ(status, 0);
    expect_service();
}

TEST_F(HostileTest, AUserHasOnlySoManySessions) {
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 255; ++i) { // and the fixture's own
        clients.push_back(std::make_unique<RawClient>(daemon.socket()));
        clients.back()->bootstrap();
        clients.back()->hello();
        (void)clients.back()->receive();
        ASSERT_TRUE(clients.back()->receive());
    }
    const auto refused = refusal([&] { (void)Session::connect(daemon.socket(), 30s); });
    EXPECT_EQ(refused.code, Errc::limit);
    EXPECT_THAT(refused.message, HasSubstr("256 sessions"));
    EXPECT_EQ(session->describe_topic("orders").name, "orders");
}

} // namespace
} // namespace shmbus::control
