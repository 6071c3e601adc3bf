// The parent of workers: when it starts another, what it listens to, how it ends.
#include "daemon/parent/parent.hpp"

#include "base/pidfd.hpp"
#include "daemon/family.hpp"
#include "daemon/parent/notify_socket.hpp"
#include "daemon/sent.hpp"

#include <poll.h>

namespace shmbus::parent {
namespace {

using namespace std::chrono_literals;
using test::descriptors_of;
using test::Family;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class ParentTest : public test::FamilyTest {};

TEST(BackOff, DoublesUpToTheLongest) {
    BackOff back_off(50ms, 180ms);
    for (const auto delay : {50ms, 100ms, 180ms, 180ms}) EXPECT_EQ(back_off.next(), delay);
    back_off.reset();
    EXPECT_EQ(back_off.next(), 50ms);
}

TEST_F(ParentTest, NeedsNobodyToReadItsLog) {
    for (const char* log : {"log=unread", "log=closed"}) {
        Family family({log});
        EXPECT_THAT(family.notify("READY=1"), ElementsAre());
        EXPECT_EQ(family.ask("store ring one"), "ok");
        ::kill(family.worker(), SIGKILL);
        family.greet();
        EXPECT_EQ(family.ask("open"), "open 0 1 2 3") << log;
    }
}

TEST_F(ParentTest, WaitsLongerAndLongerForAWorkerThatIsNeverReady) {
    Family family;
    const auto began = std::chrono::steady_clock::now();
    for (const char* delay : {"50", "100", "200"}) {
        EXPECT_EQ(family.kill_worker(),
                  std::string("died of SIGKILL; starting it again in ") + delay + " ms");
        family.greet();
    }
    EXPECT_GE(std::chrono::steady_clock::now() - began, 350ms);
    family.notify("READY=1");
    EXPECT_EQ(family.kill_worker(), "died of SIGKILL; starting it again");
    family.greet();
    EXPECT_EQ(family.let_worker_exit(7), "exited with status 7; starting it again in 50 ms");
    family.greet();
}

TEST_F(ParentTest, RestartsAfterAFailure) {
    Family family;
    family.notify("READY=1");
    EXPECT_EQ(family.let_worker_exit(7), "exited with status 7; starting it again");
    family.greet();
}

TEST_F(ParentTest, EndsWithAWorkerThatIsDone) {
    Family family;
    family.parent().say("exit 0");
    EXPECT_EQ(family.parent().wait(), 0);
}

TEST_F(ParentTest, EndsWithAFirstWorkerThatCannotBecomeReady) {
    Family family;
    EXPECT_EQ(family.let_worker_exit(7), "exited with status 7");
    EXPECT_EQ(family.parent().wait(), 7);
}

TEST_F(ParentTest, EndsWithoutAProgramToRun) {
    EXPECT_EXIT(std::exit(run_parent({"/nonexistent"})), testing::ExitedWithCode(127),
                "running /nonexistent: No such file");
}

TEST_F(ParentTest, PassesOnSignalsAndStartsNothingMore) {
    for (const int signal : {SIGTERM, SIGINT}) {
        Family family;
        family.notify("READY=1");
        EXPECT_EQ(family.ask("catch"), "ok");
        family.parent().kill(signal);
        EXPECT_EQ(family.ask("await"), "got " + std::to_string(signal));
        EXPECT_EQ(family.let_worker_exit(7), "exited with status 7");
        EXPECT_EQ(family.parent().wait(), 7);
    }
}

TEST_F(ParentTest, PassesOnAReloadAndStays) {
    Family family;
    family.notify("READY=1");
    EXPECT_EQ(family.ask("catch"), "ok");
    family.parent().kill(SIGHUP);
    EXPECT_EQ(family.ask("await"), "got " + std::to_string(SIGHUP));
    EXPECT_EQ(family.let_worker_exit(7), "exited with status 7; starting it again");
    family.greet();
}

TEST_F(ParentTest, AReloadIsNothingWhileItHasNoWorker) {
    Family family({"first=200", "longest=200"});
    EXPECT_THAT(family.kill_worker(), EndsWith("again in 200 ms"));
    family.parent().kill(SIGHUP);
    family.greet();
}

TEST_F(ParentTest, EndsWithTheSignalThatEndedItsWorker) {
    Family family;
    family.notify("READY=1");
    family.parent().kill(SIGTERM);
    EXPECT_EQ(family.obituary(), "died of SIGTERM");
    EXPECT_EQ(family.parent().wait(), 128 + SIGTERM);
}

TEST_F(ParentTest, ASignalEndsItWhileItHasNoWorker) {
    Family family({"first=3600000", "longest=3600000"});
    EXPECT_THAT(family.kill_worker(), EndsWith("again in 3600000 ms"));
    family.parent().kill(SIGTERM);
    EXPECT_EQ(family.parent().wait(), 0);
}

TEST_F(ParentTest, AWorkerHasTheSignalsTheParentWasStartedWith) {
    sigset_t usr1;
    ::sigemptyset(&usr1);
    ::sigaddset(&usr1, SIGUSR1);
    ::sigprocmask(SIG_BLOCK, &usr1, nullptr);
    ::signal(SIGCHLD, SIG_IGN);
    Family family;
    ::signal(SIGCHLD, SIG_DFL);
    ::sigprocmask(SIG_UNBLOCK, &usr1, nullptr);
    EXPECT_EQ(family.ask("signals"), "signals -USR1 !CHLD !PIPE");
    EXPECT_THAT(family.kill_worker(), StartsWith("died of SIGKILL"));
    family.greet();
}

TEST_F(ParentTest, AWorkerStopsInOrderWhenItsParentIsKilled) {
    Family family;
    const auto worker = base::open_pidfd(family.worker());
    EXPECT_EQ(family.ask("catch"), "ok");
    family.parent().kill(SIGKILL);
    EXPECT_EQ(family.parent().wait(), -SIGKILL);
    EXPECT_EQ(family.ask("await"), "got " + std::to_string(SIGTERM));
    family.parent().say("exit 0");
    pollfd end{.fd = worker.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&end, 1, 60'000), 1);
}

TEST_F(ParentTest, KillsAWorkerThatHangs) {
    Family family({"watchdog=1000"});
    EXPECT_EQ(family.ask("store ring one"), "ok");
    for (int life = 0; life < 2; ++life) {
        // Before it is ready it takes the time that it takes.
        EXPECT_THAT(family.ask("environment"), HasSubstr("WATCHDOG_USEC=1000000"));
        const auto began = std::chrono::steady_clock::now();
        family.notify("READY=1");
        if (life == 1) ::kill(family.worker(), SIGSTOP); // which takes no other signal
        EXPECT_EQ(family.parent().hear(),
                  "shmbusd: worker " + std::to_string(family.worker()) +
                      " hangs: it has not said WATCHDOG=1 for 1000 ms; killing it");
        EXPECT_GE(std::chrono::steady_clock::now() - began, 1s);
        EXPECT_EQ(family.obituary(), "died of SIGKILL; starting it again");
        family.greet();
        EXPECT_EQ(family.ask("list"), "list ring=one");
    }
}

TEST_F(ParentTest, KillsAWorkerThatHangsBeforeItIsReady) {
    Family family({"start=1000"});
    EXPECT_EQ(family.ask("store ring one"), "ok");
    EXPECT_EQ(family.ask("send WATCHDOG=1"), "ok") << "which does not count yet";
    const auto hung = family.worker();
    ::kill(hung, SIGSTOP);
    EXPECT_EQ(family.parent().hear(), "shmbusd: worker " + std::to_string(hung) +
                                          " hangs: it is not ready after 1000 ms; killing it");
    EXPECT_THAT(family.obituary(), StartsWith("died of SIGKILL; starting it again in"));
    family.greet();
    EXPECT_EQ(family.ask("list"), "list ring=one");
}

TEST_F(ParentTest, LeavesAWorkerAloneThatSaysThatItIsWell) {
    Family family({"watchdog=2000"});
    family.notify("READY=1");
    const auto began = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - began < 3s)
        EXPECT_THAT(family.notify("WATCHDOG=1"), ElementsAre());
    EXPECT_THAT(family.notify("STOPPING=1"), ElementsAre());
    pollfd silence{
        .fd = base::open_pidfd(family.worker()).release(), .events = POLLIN, .revents = 0};
    const base::Fd pidfd(silence.fd);
    EXPECT_EQ(::poll(&silence, 1, 3'000), 0) << "it takes its time to stop";
    EXPECT_EQ(family.ask("list"), "list ");
}

TEST_F(ParentTest, SurvivesNonsense) {
    Family family;
    EXPECT_EQ(family.ask("store ring one"), "ok");
    family.notify("READY=1");
    const auto before = descriptors_of(family.parent().pid());
    for (const char* message :
         {";", "=", ";;=;;", "FDSTORE", "FDSTORE=2", "XFDSTORE=1", "STATUS=well", "MAINPID=1",
          "WATCHDOG=1", "FDNAME=ring", "READY=1;FDPOLL=0", "FDSTOREREMOVE=1;FDNAME="})
        EXPECT_EQ(family.ask(std::string("send ") + message), "ok") << message;
    EXPECT_THAT(family.notify("FDSTORE=1;FDNAME=none"), ElementsAre()); // without any
    for (const auto& [message, complaint] :
         {std::pair<std::string, std::string>{"FDSTOREREMOVE=1", "FDSTOREREMOVE=1 needs FDNAME="},
          {"BARRIER=1;FDSTORE=1", "BARRIER=1 stands alone"},
          {"FDSTORE=1;" + std::string(5000, 'x'), "it is longer than 4096 bytes"}}) {
        family.parent().say("send " + message);
        EXPECT_EQ(family.parent().hear(), "shmbusd: a notification of process " +
                                              std::to_string(family.worker()) +
                                              " is ignored: " + complaint);
        EXPECT_EQ(family.parent().hear(), "ok");
    }
    EXPECT_EQ(descriptors_of(family.parent().pid()), before);
    EXPECT_THAT(family.kill_worker(), StartsWith("died of SIGKILL"));
    family.greet();
    EXPECT_EQ(family.ask("list"), "list ring=one");
}

TEST_F(ParentTest, AnswersABarrier) {
    Family family;
    EXPECT_EQ(family.ask("send BARRIER=1"), "ok");
}

TEST_F(ParentTest, HearsTheWorkerAlone) {
    Family family;
    talk_to(family);
    for (const char* message : {"FDSTORE=1", "READY=1", "BARRIER=1"}) {
        EXPECT_TRUE(test::is_closed_when_sent(message));
        EXPECT_EQ(family.parent().hear(), "shmbusd: a notification of process " +
                                              std::to_string(::getpid()) +
                                              " is ignored: it is not the worker");
    }
    EXPECT_THAT(family.kill_worker(), EndsWith("in 50 ms")) << "not ready, as far as it knows";
    family.greet();
    EXPECT_EQ(family.ask("list"), "list ");
}

TEST_F(ParentTest, SaysOnceThatItIsReady) {
    Family family;
    EXPECT_THAT(family.notify("READY=1"), ElementsAre("ready"));
    EXPECT_THAT(family.notify("READY=1"), ElementsAre());
    family.kill_worker();
    family.greet();
    EXPECT_THAT(family.notify("READY=1"), ElementsAre());
}

TEST_F(ParentTest, TellsWhoeverStartedIt) {
    NotifySocket above;
    ::setenv("NOTIFY_SOCKET", above.address().c_str(), 1);
    ::setenv("WATCHDOG_USEC", "60000000", 1);
    Family family;
    ::unsetenv("WATCHDOG_USEC");
    EXPECT_THAT(family.ask("environment"), HasSubstr("WATCHDOG_USEC=30000000"));
    EXPECT_THAT(family.notify("READY=1"), ElementsAre());
    EXPECT_THAT(family.notify("RELOADING=1;MONOTONIC_USEC=1"), ElementsAre());
    EXPECT_THAT(family.notify("READY=1;STATUS=well"), ElementsAre());
    EXPECT_THAT(family.notify("WATCHDOG=1"), ElementsAre());
    EXPECT_THAT(family.notify("STOPPING=1"), ElementsAre());
    for (const char* state :
         {"READY=1", "RELOADING=1", "READY=1", "STATUS=well", "WATCHDOG=1", "STOPPING=1"}) {
        const auto message = above.receive();
        ASSERT_TRUE(message);
        EXPECT_EQ(message->sender, family.parent().pid());
        EXPECT_EQ(message->assignments.at(0), state);
        EXPECT_EQ(message->value_of("MONOTONIC_USEC").has_value(),
                  state == std::string("RELOADING=1"))
            << "younger than the signal, and so not the worker's";
    }
    EXPECT_FALSE(above.receive());
}

} // namespace
} // namespace shmbus::parent
