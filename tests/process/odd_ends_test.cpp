// Processes that end, or seem to, in unusual ways: what they publish is never torn, others go on, and nothing
// of them is left once they are dead, and not before.
#include "process/child.hpp"
#include "process/inside.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

constexpr std::size_t large =
    65'536 - 64; // copying it takes microseconds: most of a burst is inside a claim

/// Says "published N" to each line that it hears.
void publish_as_told(Publisher& publisher) {
    for (std::uint64_t n = 1;; ++n) {
        (void)hear();
        if (!publisher.publish(std::to_string(n))) throw std::runtime_error("publish");
        say("published " + std::to_string(n));
    }
}

/// Hangs up on the daemon behind the library's back.
void shut_down_sockets() {
    for (const auto& link : std::filesystem::directory_iterator("/proc/self/fd"))
        ::shutdown(std::stoi(link.path().filename()), SHUT_RDWR); // the others are no sockets
}

/// odd SOCKET WHAT
SHMBUS_WORKER(odd) {
    const auto& what = args.text(1);
    if (what == "library thread")
        set_log_handler([](LogLevel level, std::string_view) {
            if (level == LogLevel::warning) (void)::syscall(SYS_exit, 0); // this thread alone
        });
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("odd", {.timeout = patience});
    if (what == "library thread" || what == "no socket") shut_down_sockets();
    if (what == "fork" && ::fork() == 0) {
        ::prctl(PR_SET_PDEATHSIG, 0);
        say("child " + std::to_string(::getpid()));
        for (;;) ::pause();
    }
    if (what == "main thread") {
        std::thread([&] { publish_as_told(publisher); }).detach();
        (void)::syscall(SYS_exit, 0); // with nothing unwound
    }
    publish_as_told(publisher);
    return 0;
}

/// exec SOCKET: publishes in one thread until another one has the process replaced.
SHMBUS_WORKER(exec) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("odd", {.timeout = patience});
    const std::string payload(large, 'x');
    std::thread([&] {
        for (;;) (void)publisher.publish(payload);
    }).detach();
    say("publishes");
    (void)hear();
    ::execl("/bin/cat", "cat", nullptr);
    return 1;
}

/// exec-subscriber SOCKET: subscribes, and has its process replaced.
SHMBUS_WORKER(exec_subscriber) {
    Bus bus({.socket = args.text(0)});
    const auto subscription = bus.subscribe("odd", {.name = "own"});
    const auto other = bus.subscribe("odd");
    say("subscribes");
    (void)hear();
    ::execl("/bin/cat", "cat", nullptr);
    return 1;
}

class OddEnds : public testing::Test {
  protected:
    OddEnds() {
        bus_.create_topic("odd", {.full = FullPolicy::drop_oldest,
                                  .capacity = 64,
                                  .slot_bytes = 65'536,
                                  .retention = Retention::memory});
        subscription_.emplace(bus_.subscribe("odd"));
    }
    Child start(const std::string& what) { return Child::worker("odd", {daemon_.socket(), what}); }
    void expect_published(Child& child, const std::string& n) {
        child.say("go");
        EXPECT_EQ(child.hear(), "published " + n);
        const auto received = subscription_->receive(patience);
        const auto* event = std::get_if<Event>(&received);
        ASSERT_NE(event, nullptr);
        EXPECT_EQ(event->text(), n);
    }
    [[nodiscard]] std::size_t publishers() { return bus_.topic("odd").publisher_count; }
    void end(Child& child) {
        child.kill(SIGKILL);
        EXPECT_EQ(child.wait(), -SIGKILL);
        wait_until_gone();
    }
    void wait_until_gone() {
        for (const Deadline end = patience; publishers() != 0;)
            ASSERT_FALSE(end.passed()) << "its entry is still taken";
    }
    DaemonProcess daemon_;
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    std::optional<Subscription> subscription_;
};

TEST_F(OddEnds, TheMainThreadAlone) {
    auto child = start("main thread");
    for (const auto* n : {"1", "2"}) expect_published(child, n);
    EXPECT_EQ(publishers(), 1U) << "the process is there";
    expect_published(child, "3");
    end(child);
}

TEST_F(OddEnds, TheLibrarysThreadAlone) {
    auto child = start("library thread");
    daemon_.process().wait_for_log("hung up");
    for (const auto* n : {"1", "2"}) expect_published(child, n);
    EXPECT_EQ(publishers(), 1U);
    end(child);
}

TEST_F(OddEnds, AClientThatHangsUpComesBackAndKeepsWhatItHas) {
    auto child = start("no socket");
    daemon_.process().wait_for_log("is back");
    for (const auto* n : {"1", "2"}) expect_published(child, n);
    EXPECT_EQ(publishers(), 1U);
    end(child);
}

TEST_F(OddEnds, AChildThatLivesOnHoldsNothing) {
    auto child = start("fork");
    const auto grandchild = child.hear_numbers("child").at(0);
    expect_published(child, "1");
    end(child);
    EXPECT_EQ(::kill(static_cast<pid_t>(grandchild), SIGKILL), 0) << "it was there all the time";
}

TEST_F(OddEnds, AProcessInANamespaceOfItsOwn) {
    const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
    auto child = Child::program({"unshare", "--pid", "--fork", "--kill-child", self, "--worker",
                                 "odd", daemon_.socket(), ""});
    expect_published(child, "1");
    const auto info = bus_.topic("odd");
    ASSERT_EQ(info.publishers.size(), 1U);
    EXPECT_NE(info.publishers[0].pid, 1U) << "as the daemon sees it";
    ASSERT_EQ(::kill(static_cast<pid_t>(info.publishers[0].pid), SIGKILL), 0);
    wait_until_gone();
    (void)child.wait();
}

/// No pidfd tells of it, nor does the process ever finish what it had begun.
TEST_F(OddEnds, AnExecInTheMiddleOfPublishing) {
    auto publisher = bus_.publisher("odd");
    const auto view = publisher_view(bus_, "odd");
    unsigned inside = 0;
    for (unsigned round = 0; round < (long_form() ? 200U : 30U); ++round) {
        auto child = Child::worker("exec", {daemon_.socket()});
        EXPECT_EQ(child.hear(), "publishes");
        child.say("go");
        for (const Deadline end = patience;
             std::filesystem::read_symlink("/proc/" + std::to_string(child.pid()) + "/exe")
                 .filename() != "cat";)
            ASSERT_FALSE(end.passed());
        ASSERT_TRUE(publisher.publish("after"));
        for (bool after = false; !after;) {
            const auto received = subscription_->receive(patience);
            if (const auto* event = std::get_if<Event>(&received)) {
                after = event->text() == "after";
                ASSERT_TRUE(after || event->text() == std::string(large, 'x')) << "torn";
            } else {
                ASSERT_TRUE(std::holds_alternative<Gap>(received));
            }
        }
        if (traces_of(view).quarantined != 0) ++inside;
        EXPECT_EQ(publishers(), 2U) << "its process is there";
        child.kill(SIGKILL);
        EXPECT_EQ(child.wait(), -SIGKILL);
        for (const Deadline end = patience; publishers() != 1;) ASSERT_FALSE(end.passed());
        EXPECT_EQ(traces_of(view).quarantined, 0U);
    }
    EXPECT_GE(inside, 2U) << "too few were replaced inside a claim";
}

/// Nobody waits for its subscriptions, and a durable one is free.
TEST_F(OddEnds, AnExecOfASubscriber) {
    const auto subscribers = [&] { return bus_.topic("odd").subscriber_count; };
    ASSERT_EQ(subscribers(), 1U);
    auto child = Child::worker("exec_subscriber", {daemon_.socket()});
    EXPECT_EQ(child.hear(), "subscribes");
    EXPECT_EQ(subscribers(), 3U);
    child.say("go");
    for (const Deadline end = patience; subscribers() != 1;) ASSERT_FALSE(end.passed());
    EXPECT_NO_THROW((void)bus_.subscribe("odd", {.name = "own"}));
    EXPECT_EQ(::kill(child.pid(), 0), 0) << "its process is there";
    child.kill(SIGKILL);
    (void)child.wait();
}

} // namespace

} // namespace shmbus::test
