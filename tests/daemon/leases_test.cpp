// Entries come and go: released, left behind by the dead, kept by the living.
#include "base/memfd.hpp"
#include "control/session.hpp"
#include "daemon/client_process.hpp"
#include "layout/readers.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace shmbus::control {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

class LeasesTest : public testing::Test {
  protected:
    LeasesTest() { session->create_topic("orders", {.retention = Retention::memory}, false); }
    [[nodiscard]] std::uint32_t held() {
        const auto info = session->describe_topic("orders");
        return info.publisher_count + info.subscriber_count;
    }
    test::DaemonProcess daemon;
    std::shared_ptr<Session> session = Session::connect(daemon.socket(), 30s);
};

int access_of(const base::Fd& fd) { return ::fcntl(fd.get(), F_GETFL) & O_ACCMODE; }

TEST_F(LeasesTest, DescriptorsAreOnlyAsWritableAsTheyMustBe) {
    const auto publisher = session->open_publisher("orders");
    EXPECT_EQ(access_of(publisher.ring), O_RDWR);
    EXPECT_EQ(access_of(publisher.readers), O_RDONLY);
    const auto subscriber = session->open_subscriber("orders");
    EXPECT_EQ(access_of(subscriber.ring), O_RDONLY);
    EXPECT_EQ(access_of(subscriber.readers), O_RDWR);
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, subscriber.ring.get(), 0), MAP_FAILED);
}

TEST_F(LeasesTest, MemoryIsSealedAndPrivate) {
    const auto lease = session->open_publisher("orders");
    EXPECT_EQ(base::sealed_size(lease.ring, "ring"),
              layout::geometry_of(lease.parameters).total_bytes);
    EXPECT_EQ(base::sealed_size(lease.readers, "readers"),
              layout::readers_geometry_of(lease.parameters).total_bytes);
    for (const auto* fd : {&lease.ring, &lease.readers}) {
        struct stat status {};
        ASSERT_EQ(::fstat(fd->get(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777U, 0600U);
        EXPECT_EQ(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
}

TEST_F(LeasesTest, AreReleased) {
    auto first = session->open_publisher("orders");
    auto subscriber = session->open_subscriber("orders");
    EXPECT_EQ(held(), 2U);
    first.release();
    first.release(); // once is enough, twice does no harm
    subscriber.release();
    EXPECT_EQ(held(), 0U);
    const auto second = session->open_publisher("orders");
    EXPECT_EQ(second.entry, first.entry);
    EXPECT_GT(second.publisher, first.publisher);
}

TEST_F(LeasesTest, TokensDifferWithEachLease) {
    auto first = session->open_subscriber("orders");
    first.release();
    const auto second = session->open_subscriber("orders");
    EXPECT_EQ(second.entry, first.entry);
    EXPECT_GE(second.token - first.token, 1U << 20U);
}

TEST_F(LeasesTest, OfTheDeadAreFree) {
    test::ClientProcess client(daemon.socket());
    ASSERT_EQ(client.greeting(), "ok");
    ASSERT_THAT(client.ask("publisher orders"), StartsWith("ok 0 0"));
    ASSERT_THAT(client.ask("subscriber orders"), StartsWith("ok 1 0"));
    ASSERT_THAT(client.ask("publisher orders"), StartsWith("ok 2 1"));
    EXPECT_EQ(held(), 3U);
    const auto pid = client.pid();
    client.kill();
    const auto line = daemon.process().wait_for_log("(pid " + std::to_string(pid) + ") has ended");
    EXPECT_THAT(line, HasSubstr("freed 2 publishers, 1 subscribers"));
    EXPECT_EQ(held(), 0U);
    EXPECT_EQ(session->open_publisher("orders").entry, 0U);
}

TEST_F(LeasesTest, OfTheLivingStayWithoutAConnection) {
    test::ClientProcess client(daemon.socket());
    client.ask("publisher orders");
    ASSERT_EQ(client.ask("hang-up"), "ok");
    daemon.process().wait_for_log("hung up; what it holds stays until it is dead");
    EXPECT_EQ(held(), 1U);
    // It comes back by itself, and has its session again.
    const auto pid = std::to_string(client.pid());
    daemon.process().wait_for_log("(pid " + pid + ", user ");
    EXPECT_THAT(client.ask("publisher orders"), StartsWith("ok 1 1"));
    EXPECT_EQ(held(), 2U);
    EXPECT_EQ(client.ask("release 0"), "ok");
    EXPECT_EQ(held(), 1U);
    client.kill();
    EXPECT_THAT(daemon.process().wait_for_log("(pid " + pid + ") has ended"),
                HasSubstr("freed 1 publishers"));
    EXPECT_EQ(held(), 0U);
}

TEST_F(LeasesTest, OfTheStoppedStay) {
    test::ClientProcess stopped(daemon.socket());
    stopped.ask("publisher orders");
    ::kill(stopped.pid(), SIGSTOP);
    test::ClientProcess dead(daemon.socket());
    dead.ask("publisher orders");
    const auto pid = std::to_string(dead.pid());
    dead.kill();
    daemon.process().wait_for_log("(pid " + pid + ") has ended");
    EXPECT_EQ(held(), 1U) << "a stopped process is not a dead one";
}

TEST_F(LeasesTest, SessionsWithoutAnyEndWithTheirConnection) {
    test::ClientProcess client(daemon.socket());
    client.ask("publisher orders");
    client.ask("release 0");
    client.ask("hang-up");
    const auto line = daemon.process().wait_for_log("hung up");
    EXPECT_THAT(line, Not(HasSubstr("stays")));
}

TEST_F(LeasesTest, OfATopicRemovedByForceAreReapedToo) {
    test::ClientProcess client(daemon.socket());
    client.ask("subscriber orders");
    EXPECT_THAT(client.ask("remove orders"), StartsWith("error busy"));
    EXPECT_EQ(client.ask("force orders"), "ok");
    session->create_topic("orders", {.retention = Retention::memory}, false);
    EXPECT_EQ(held(), 0U) << "the same name is another topic";
    const auto pid = std::to_string(client.pid());
    client.kill();
    EXPECT_THAT(daemon.process().wait_for_log("(pid " + pid + ") has ended"),
                HasSubstr("freed 0 publishers, 1 subscribers"));
}

TEST_F(LeasesTest, ReapEachOfManyDead) {
    std::vector<std::unique_ptr<test::ClientProcess>> clients;
    for (int i = 0; i < 12; ++i) {
        clients.push_back(std::make_unique<test::ClientProcess>(daemon.socket()));
        clients.back()->ask("publisher orders");
        clients.back()->ask("subscriber orders");
    }
    EXPECT_EQ(held(), 24U);
    std::vector<std::string> pids;
    for (const auto& client : clients) {
        pids.push_back(std::to_string(client->pid()));
        ::kill(client->pid(), SIGKILL);
    }
    clients.clear();
    for (std::size_t i = 0; i < pids.size(); ++i) daemon.process().wait_for_log("has ended; freed");
    EXPECT_EQ(held(), 0U);
}

} // namespace
} // namespace shmbus::control
