// The daemon as a program: its arguments, its socket, its end.
#include "control/session.hpp"
#include "daemon/refusal.hpp"
#include "daemon/store/state_file.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/stat.h>

namespace shmbus {
namespace {

using namespace std::chrono_literals;
using test::DaemonProcess;
using test::Shmbusd;
using testing::HasSubstr;
namespace fs = std::filesystem;

struct Outcome {
    int code;
    std::string log;
};

Outcome outcome_of(const std::vector<std::string>& arguments) {
    Shmbusd daemon(arguments);
    const int code = daemon.wait(30s);
    return {code, daemon.log()};
}

TEST(Shmbusd, ServesAndGoes) {
    DaemonProcess daemon({"--memory-only"});
    EXPECT_NO_THROW(control::Session::connect(daemon.socket(), 30s));
    for (const int signal : {SIGTERM, SIGINT}) {
        daemon.kill(signal);
        EXPECT_EQ(daemon.wait(), 0);
        EXPECT_TRUE(fs::is_empty(daemon.directory()));
        daemon.restart();
    }
}

TEST(Shmbusd, StaysWhenItsTerminalClosesIfNohupSaysSo) {
    ::signal(SIGHUP, SIG_IGN); // a program that is executed inherits this
    DaemonProcess daemon;
    ::signal(SIGHUP, SIG_DFL);
    daemon.kill(SIGHUP);
    EXPECT_NO_THROW(control::Session::connect(daemon.socket(), 30s));
    EXPECT_TRUE(daemon.process().is_running());
}

pid_t worker_of(const DaemonProcess& parent) {
    const auto id = std::to_string(parent.pid());
    std::ifstream children("/proc/" + id + "/task/" + id + "/children");
    pid_t pid = 0;
    children >> pid;
    return pid;
}

TEST(Shmbusd, IsReplacedWhenItHangs) {
    ::setenv("WATCHDOG_USEC", "4000000", 1); // of the parent, which allows its worker half of it
    DaemonProcess daemon({"--supervise", "--memory-only"});
    ::unsetenv("WATCHDOG_USEC");
    const pid_t first = worker_of(daemon);
    std::this_thread::sleep_for(5s); // so long that one that says nothing would be dead
    EXPECT_EQ(worker_of(daemon), first);
    ASSERT_EQ(::kill(first, SIGSTOP), 0);
    daemon.process().wait_for_log("hangs: it has not said WATCHDOG=1 for 2000 ms; killing it");
    EXPECT_NO_THROW(control::Session::connect(daemon.socket(), 30s));
    EXPECT_NE(worker_of(daemon), first);
}

/// Nobody but who starts the next worker.
TEST(Shmbusd, NeedsNoParentThatGoesOn) {
    ::setenv("WATCHDOG_USEC", "4000000", 1);
    DaemonProcess daemon({"--supervise", "--memory-only"});
    ::unsetenv("WATCHDOG_USEC");
    const pid_t first = worker_of(daemon);
    daemon.kill(SIGSTOP);
    const auto session = control::Session::connect(daemon.socket(), 30s);
    const Deadline soon(10s);
    constexpr int many = 50; // more than wait to be heard
    const auto name = [](int i) { return "topic" + std::to_string(i); };
    for (int i = 0; i < many; ++i)
        session->create_topic(name(i), {.retention = Retention::memory}, false);
    EXPECT_FALSE(soon.passed());
    std::this_thread::sleep_for(4s); // so long that one that says nothing would be dead
    daemon.kill(SIGCONT);
    session->create_topic("last", {.retention = Retention::memory}, false);
    EXPECT_EQ(worker_of(daemon), first);
    // What waited to be said is said with what there is to say next: three descriptors of each topic.
    const auto kept = [&] {
        const fs::directory_iterator all("/proc/" + std::to_string(daemon.pid()) + "/fd");
        return std::distance(begin(all), end(all));
    };
    for (const Deadline end(30s); kept() < 3 * (many + 1);) {
        ASSERT_FALSE(end.passed());
        session->create_topic("another", {.retention = Retention::memory}, true);
        session->remove_topic("another", true);
    }
    ASSERT_EQ(::kill(first, SIGKILL), 0);
    daemon.process().wait_for_log("died of SIGKILL; starting it again");
    const auto next = control::Session::connect(daemon.socket(), 30s);
    for (int i = 0; i < many; ++i) EXPECT_NO_THROW((void)next->describe_topic(name(i)));
    EXPECT_NO_THROW((void)next->describe_topic("last"));
}

TEST(Shmbusd, IsTheOnlyOneAtItsSocket) {
    DaemonProcess daemon;
    const auto second = outcome_of({"--socket", daemon.socket()});
    EXPECT_EQ(second.code, 1);
    EXPECT_THAT(second.log, HasSubstr("another daemon listens at " + daemon.socket()));
    EXPECT_NO_THROW(control::Session::connect(daemon.socket(), 30s));
}

// Whatever it is that it cannot work with, it ends at once, says what to do, and has changed nothing.
TEST(Shmbusd, RefusesAStateDirectoryThatIsNotForIt) {
    const test::TemporaryDirectory directory;
    const std::string state = directory.path() / "state";
    DaemonProcess daemon({"--state-dir", state});
    const auto refusal = [&](const std::string& path) {
        auto refused = outcome_of({"--socket", directory.path() / "socket", "--state-dir", path});
        EXPECT_EQ(refused.code, 1);
        return refused.log;
    };
    EXPECT_THAT(refusal(state), HasSubstr("another daemon uses the state directory " + state +
                                          "; stop it, or choose another --state-dir"));
    daemon.kill(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0);
    const auto other = (directory.path() / "socket").string();
    EXPECT_THAT(refusal(state),
                HasSubstr(state + " is the state directory of the bus at " + daemon.socket() +
                          ", not of that at " + other +
                          ": choose another --state-dir; if the bus has moved, remove " + state +
                          "/socket"));
    fs::remove(state + "/socket");
    ASSERT_EQ(::mkfifo((state + "/socket").c_str(), 0600), 0);
    EXPECT_THAT(refusal(state), HasSubstr("/socket is no file: move it away"));
    fs::remove(state + "/removed");
    fs::create_symlink(directory.path(), state + "/removed");
    EXPECT_THAT(refusal(state), HasSubstr("/removed is no directory: move it away"));
    fs::remove(state + "/removed");
    {
        const auto top = store::open_directory(state);
        store::StateFile bus(*top, "bus", {});
        auto record = bus.record().value();
        record[16] = std::byte{2}; // how it is laid out
        bus.write_twice(record);
    }
    EXPECT_THAT(refusal(state),
                HasSubstr(state + " was laid out by a newer version (format 2, this "
                                  "one knows 1): use a newer shmbusd"));
    std::ofstream(directory.path() / "file") << "something";
    EXPECT_THAT(refusal(directory.path() / "file"),
                HasSubstr("file is no directory; choose another --state-dir"));
}

TEST(Shmbusd, TakesTheSocketOfOneThatWasKilled) {
    DaemonProcess daemon;
    daemon.kill(SIGKILL);
    EXPECT_EQ(daemon.wait(), -SIGKILL);
    EXPECT_TRUE(fs::exists(daemon.socket()));
    daemon.restart();
    EXPECT_NO_THROW(control::Session::connect(daemon.socket(), 30s));
}

TEST(Shmbusd, LeavesAFileInItsPlace) {
    const test::TemporaryDirectory directory;
    const auto path = directory.path() / "bus.sock";
    std::ofstream(path) << "precious";
    const auto outcome = outcome_of({"--socket", path.string()});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.log, HasSubstr("is no socket"));
    EXPECT_EQ(fs::file_size(path), 8U);
}

TEST(Shmbusd, SaysWhatIsWrongWithAPath) {
    const auto outcome = outcome_of({"--socket", std::string(200, 'x')});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.log, HasSubstr("at most 107 bytes"));
}

TEST(Shmbusd, ExitsWith2ForWrongUsage) {
    EXPECT_EQ(outcome_of({"--sokcet", "x"}).code, 2);
    EXPECT_EQ(outcome_of({"--user", "--system"}).code, 2);
    EXPECT_EQ(outcome_of({"--version"}).code, 0);
    EXPECT_EQ(outcome_of({"--help"}).code, 0);
}

TEST(Shmbusd, MakesItsStateDirectoryForItselfAlone) {
    const test::TemporaryDirectory directory;
    const auto state = directory.path() / "state";
    const DaemonProcess daemon({"--state-dir", state.string()});
    struct stat status {};
    ASSERT_EQ(::stat(state.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0700U);
}

TEST(Shmbusd, BeginsSequencesWhereATestWants) {
    const DaemonProcess daemon({"--test-first-sequence", "281474976710656"});
    const auto session = control::Session::connect(daemon.socket(), 30s);
    session->create_topic("orders", {.retention = Retention::memory}, false);
    EXPECT_EQ(session->describe_topic("orders").first, 281474976710656U);
}

} // namespace
} // namespace shmbus
