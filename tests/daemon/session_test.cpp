// The client's session when the daemon is not there, dies, stops, or lies.
#include "control/session.hpp"

#include "daemon/fake_daemon.hpp"
#include "daemon/refusal.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <fstream>
#include <future>
#include <gmock/gmock.h>
#include <sys/wait.h>

namespace shmbus::control {
namespace {

using namespace std::chrono_literals;
using test::Fault;
using test::refusal;
using testing::HasSubstr;

TEST(Session, SaysHowToStartADaemon) {
    const test::TemporaryDirectory directory;
    const auto path = (directory.path() / "bus.sock").string();
    auto nobody = refusal([&] { Session::connect(path, 5s); });
    EXPECT_EQ(nobody.code, Errc::no_daemon);
    EXPECT_THAT(nobody.message, HasSubstr("start it with: shmbusd --socket " + path));
    std::ofstream(path) << "no socket";
    EXPECT_EQ(refusal([&] { Session::connect(path, 5s); }).code, Errc::no_daemon);
    EXPECT_EQ(refusal([&] { Session::connect(std::string(300, 'x'), 5s); }).code,
              Errc::bad_argument);
}

TEST(Session, ReconnectsToTheNextDaemon) {
    test::DaemonProcess daemon;
    const auto session = Session::connect(daemon.socket(), 30s);
    session->create_topic("orders", {.retention = Retention::memory}, false);
    auto lease = session->open_publisher("orders");
    daemon.kill(SIGKILL);
    daemon.wait();
    const auto gone = refusal([&] { (void)session->describe_topic("orders"); });
    EXPECT_THAT(gone.code, testing::AnyOf(Errc::disconnected, Errc::no_daemon));
    EXPECT_EQ(refusal([&] { (void)session->describe_topic("orders"); }).code, Errc::no_daemon);
    daemon.restart();
    EXPECT_EQ(session->describe_topic("orders").publisher_count, 1U) << "handed back to it";
    const auto other = session->open_publisher("orders");
    EXPECT_NE(other.publisher, lease.publisher);
    EXPECT_NE(other.entry, lease.entry);
    lease.release();
    EXPECT_EQ(session->describe_topic("orders").publisher_count, 1U);
}

TEST(Session, GivesUpOnADaemonThatIsStopped) {
    test::DaemonProcess daemon;
    const auto session = Session::connect(daemon.socket(), 200ms);
    session->create_topic("orders", {.retention = Retention::memory}, false);
    auto lease = session->open_publisher("orders");
    daemon.kill(SIGSTOP);
    const auto late = refusal([&] { (void)session->describe_topic("orders"); });
    EXPECT_EQ(late.code, Errc::timed_out);
    EXPECT_THAT(late.message, HasSubstr(" did not answer in time while describing topic orders; "));
    EXPECT_EQ(refusal([&] { (void)session->open_publisher("orders"); }).code, Errc::timed_out);
    EXPECT_EQ(refusal([&] { Session::connect(daemon.socket(), 100ms); }).code, Errc::timed_out);
    lease.release(); // best effort, in bounded time
    daemon.kill(SIGCONT);
    const auto patient = Session::connect(daemon.socket(), 30s);
    // The abandoned open is given back as soon as its answer comes; no request says when.
    for (const Deadline deadline = 30s; patient->describe_topic("orders").publisher_count != 0;)
        ASSERT_FALSE(deadline.passed());
}

TEST(Session, LearnsOfADeathDuringARequest) {
    test::DaemonProcess daemon;
    const auto session = Session::connect(daemon.socket(), 30s);
    session->create_topic("orders", {.retention = Retention::memory}, false);
    daemon.kill(SIGSTOP);
    auto request = std::async(std::launch::async, [&] {
        return refusal([&] { (void)session->describe_topic("orders"); });
    });
    EXPECT_EQ(request.wait_for(50ms), std::future_status::timeout);
    daemon.kill(SIGKILL);
    const auto gone = request.get();
    EXPECT_EQ(gone.code, Errc::disconnected);
    EXPECT_THAT(gone.message, HasSubstr(" went away while describing topic orders; "));
}

TEST(Session, ServesManyThreads) {
    test::DaemonProcess daemon;
    const auto session = Session::connect(daemon.socket(), 30s);
    std::vector<std::future<void>> threads;
    for (int t = 0; t < 8; ++t)
        threads.push_back(std::async(std::launch::async, [&session, t] {
            const auto name = "topic-" + std::to_string(t);
            session->create_topic(name, {.capacity = 64, .retention = Retention::memory}, false);
            for (int i = 0; i < 20; ++i) {
                auto lease = session->open_publisher(name);
                lease.release();
            }
            session->remove_topic(name, false);
        }));
    for (auto& thread : threads) EXPECT_NO_THROW(thread.get());
    EXPECT_TRUE(session->list_topics().empty());
}

TEST(Session, LeavesSignalsAlone) {
    test::DaemonProcess daemon;
    struct sigaction before {};
    ::sigaction(SIGPIPE, nullptr, &before);
    const auto session = Session::connect(daemon.socket(), 30s);
    struct sigaction after {};
    ::sigaction(SIGPIPE, nullptr, &after);
    EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(Session, IsUselessButHarmlessAfterAFork) {
    test::DaemonProcess daemon;
    auto session = Session::connect(daemon.socket(), 30s);
    session->create_topic("orders", {.retention = Retention::memory}, false);
    auto lease = session->open_publisher("orders");
    const pid_t child = ::fork();
    if (child == 0) {
        bool refused = false;
        try {
            (void)session->list_topics();
        } catch (const Error& e) {
            refused = e.code() == Errc::unsupported;
        }
        lease.release();
        lease = {};
        session.reset();
        ::_exit(refused ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(session->describe_topic("orders").publisher_count, 1U);
}

class LyingDaemonTest : public testing::Test {
  protected:
    std::shared_ptr<Session> connect(Fault fault) {
        daemon.emplace(path, fault);
        return Session::connect(path, 30s);
    }
    Errc publisher_with(Fault fault) {
        const auto session = connect(fault);
        return refusal([&] { (void)session->open_publisher("orders"); }).code;
    }
    Errc subscriber_with(Fault fault) {
        const auto session = connect(fault);
        return refusal([&] { (void)session->open_subscriber("orders"); }).code;
    }
    const test::TemporaryDirectory directory;
    const std::string path = (directory.path() / "bus.sock").string();
    std::optional<test::FakeDaemon> daemon;
};

TEST_F(LyingDaemonTest, TellsTheTruthOnce) {
    const auto session = connect(Fault::none);
    EXPECT_EQ(session->open_publisher("orders").publisher, 1U);
    EXPECT_EQ(session->open_subscriber("orders").token, 1U);
}

TEST_F(LyingDaemonTest, IsNotBelieved) {
    for (const Fault fault : {Fault::short_uuid, Fault::bad_parameters, Fault::no_descriptors,
                              Fault::entry_beyond_table, Fault::zero_id}) {
        EXPECT_EQ(publisher_with(fault), Errc::damaged) << static_cast<int>(fault);
        EXPECT_EQ(subscriber_with(fault), Errc::damaged) << static_cast<int>(fault);
        EXPECT_EQ(daemon->releases(), 1) << "a lease that is no good is given back";
    }
    EXPECT_EQ(publisher_with(Fault::short_parameters), Errc::incompatible);
    EXPECT_EQ(publisher_with(Fault::unknown_refusal), Errc::incompatible);
    EXPECT_EQ(publisher_with(Fault::exception), Errc::system);
}

TEST_F(LyingDaemonTest, CannotKeepAListGoing) {
    const auto session = connect(Fault::endless_list);
    EXPECT_EQ(refusal([&] { (void)session->list_topics(); }).code, Errc::damaged);
}

} // namespace
} // namespace shmbus::control
