// The parent of workers: what it keeps for them, when it starts another, how it ends.
#include "daemon/parent/parent.hpp"

#include "base/pidfd.hpp"
#include "daemon/parent/notify_socket.hpp"
#include "daemon/sent.hpp"
#include "process/child.hpp"

#include <csignal>
#include <filesystem>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/resource.h>

namespace shmbus::parent {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

base::Fd file_of(const std::string& content) {
    base::Fd fd(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_EQ(::write(fd.get(), content.data(), content.size()), ssize_t(content.size()));
    return fd;
}

/// A parent, and its workers one after the other; see test_worker.cpp for what they understand.
class Family {
  public:
    explicit Family(const std::vector<std::string>& options = {}, const std::vector<int>& fds = {})
        : parent_(test::Child::program(command(options), fds)) {
        greet();
    }
    test::Child& parent() { return parent_; }
    [[nodiscard]] pid_t worker() const { return worker_; }

    std::string ask(const std::string& line) {
        parent_.say(line);
        return parent_.hear();
    }
    /// The worker says something and is heard; what the parent logs about it comes before the "ok".
    std::vector<std::string> notify(const std::string& message) {
        parent_.say("notify " + message);
        std::vector<std::string> log;
        for (std::string line; (line = parent_.hear()) != "ok";) log.push_back(line);
        return log;
    }
    /// @returns the parent's line about it, without the number
    std::string kill_worker(int signal = SIGKILL) {
        ::kill(worker_, signal);
        return obituary();
    }
    std::string let_worker_exit(int status) {
        parent_.say("exit " + std::to_string(status));
        return obituary();
    }
    std::string obituary() {
        const std::string line = parent_.hear();
        const std::string begin = "shmbusd: worker " + std::to_string(worker_) + " ";
        EXPECT_THAT(line, StartsWith(begin));
        return line.substr(std::min(begin.size(), line.size()));
    }
    /// The next worker is there.
    void greet() {
        const auto numbers = parent_.hear_numbers("hello");
        worker_ = static_cast<pid_t>(numbers.at(0));
    }

  private:
    static std::vector<std::string> command(const std::vector<std::string>& options) {
        std::vector<std::string> all{TEST_WORKER_PATH, "--supervise"};
        all.insert(all.end(), options.begin(), options.end());
        return all;
    }
    test::Child parent_;
    pid_t worker_ = 0;
};

class ParentTest : public testing::Test {
  protected:
    ParentTest() {
        ::signal(SIGPIPE, SIG_IGN);
        ::unsetenv("NOTIFY_SOCKET");
    }
    ~ParentTest() override { ::unsetenv("NOTIFY_SOCKET"); }
    /// As somebody who is not the worker.
    static void talk_to(Family& family) {
        const std::string line = family.ask("environment");
        ::setenv("NOTIFY_SOCKET", line.substr(line.find('@')).c_str(), 1);
    }
};

std::ptrdiff_t descriptors_of(pid_t pid) {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd");
    return std::distance(begin(all), end(all));
}

int lowest_free_of(pid_t pid) {
    const std::string all = "/proc/" + std::to_string(pid) + "/fd/";
    int fd = 0;
    while (std::filesystem::is_symlink(all + std::to_string(fd))) ++fd;
    return fd;
}

TEST(BackOff, DoublesUpToTheLongest) {
    BackOff back_off(50ms, 180ms);
    for (const auto delay : {50ms, 100ms, 180ms, 180ms}) EXPECT_EQ(back_off.next(), delay);
    back_off.reset();
    EXPECT_EQ(back_off.next(), 50ms);
}

TEST_F(ParentTest, HandsBackWhatWasStored) {
    Family family;
    EXPECT_EQ(family.ask("list"), "list ");
    EXPECT_EQ(family.ask("store ring one"), "ok");
    EXPECT_EQ(family.ask("store cursors two three"), "ok");
    family.notify("READY=1");
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(family.kill_worker(), "died of SIGKILL; starting it again");
        family.greet();
        EXPECT_EQ(family.ask("list"), "list cursors=three cursors=two ring=one");
        family.notify("READY=1");
    }
}

TEST_F(ParentTest, ForgetsWhatIsRemoved) {
    Family family;
    family.notify("READY=1");
    EXPECT_EQ(family.ask("store a 1 2"), "ok");
    EXPECT_EQ(family.ask("store b 3"), "ok");
    EXPECT_EQ(family.ask("store a 4"), "ok");
    const auto before = descriptors_of(family.parent().pid());
    EXPECT_THAT(family.notify("FDSTOREREMOVE=1;FDNAME=a"), ElementsAre());
    EXPECT_EQ(descriptors_of(family.parent().pid()), before - 3);
    EXPECT_THAT(family.notify("FDSTOREREMOVE=1;FDNAME=unknown"), ElementsAre());
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"), "list b=3");
}

/// What is stored last has the lowest numbers, which a worker expects to find others at.
TEST_F(ParentTest, NumbersInAnyOrder) {
    Family family;
    family.notify("READY=1");
    EXPECT_EQ(family.ask("store a 0 1 2 3 4 5 6 7 8 9 a b c d e f"), "ok");
    EXPECT_EQ(family.ask("store b 0 1 2 3 4 5 6 7 8 9 a b c d e f"), "ok");
    EXPECT_THAT(family.notify("FDSTOREREMOVE=1;FDNAME=a"), ElementsAre());
    EXPECT_EQ(family.ask("store c 0 1 2 3 4 5 6 7"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"),
              "list b=0 b=1 b=2 b=3 b=4 b=5 b=6 b=7 b=8 b=9 b=a b=b b=c b=d b=e b=f "
              "c=0 c=1 c=2 c=3 c=4 c=5 c=6 c=7");
}

TEST_F(ParentTest, NamesThatCannotBeOnesGiveWay) {
    Family family;
    family.notify("READY=1");
    const std::string longest(255, 'n');
    for (const auto& name : {std::string("a:b"), std::string("\x7f"), longest + 'n', longest})
        EXPECT_EQ(family.ask("store " + name + " x"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"), "list " + longest + "=x stored=x stored=x stored=x");
}

TEST_F(ParentTest, KeepsLastWords) {
    Family family;
    const auto pidfd = base::open_pidfd(family.worker());
    family.parent().kill(SIGSTOP); // the words and the death meet it together
    family.parent().say("last-words will all");
    pollfd death{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&death, 1, 60'000), 1);
    family.parent().kill(SIGCONT);
    EXPECT_EQ(family.obituary(), "died of SIGKILL; starting it again in 50 ms");
    family.greet();
    EXPECT_EQ(family.ask("list"), "list will=all");
}

TEST_F(ParentTest, LeaksNothing) {
    Family family;
    EXPECT_EQ(family.ask("store ring one two"), "ok");
    family.notify("READY=1");
    const auto before = descriptors_of(family.parent().pid());
    for (int i = 0; i < 100; ++i) {
        family.kill_worker();
        family.greet();
        family.notify("READY=1");
    }
    EXPECT_EQ(descriptors_of(family.parent().pid()), before);
    EXPECT_EQ(family.ask("list"), "list ring=one ring=two");
}

TEST_F(ParentTest, AWorkerHasWhatWasStoredAndNothingElse) {
    const auto foreign = file_of("of whoever started the parent");
    Family family({}, {foreign.get(), foreign.get()});
    EXPECT_EQ(family.ask("open"), "open 0 1 2");
    EXPECT_THAT(family.ask("environment"), StartsWith("environment NOTIFY_SOCKET=@"));
    family.notify("READY=1");
    EXPECT_EQ(family.ask("store ring one two"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("open"), "open 0 1 2 3 4");
    EXPECT_THAT(family.ask("environment"),
                StartsWith("environment LISTEN_FDS=2 LISTEN_FDNAMES=ring:ring NOTIFY_SOCKET=@"));
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

TEST_F(ParentTest, PassesOnWhatItWasActivatedWith) {
    const auto socket = file_of("socket");
    const auto other = file_of("other");
    Family family({"names=bus:x"}, {socket.get(), other.get()});
    EXPECT_EQ(family.ask("list"), "list bus=socket x=other");
    EXPECT_THAT(family.ask("environment"),
                StartsWith("environment LISTEN_FDS=2 LISTEN_FDNAMES=bus:x NOTIFY_SOCKET=@"));
    EXPECT_EQ(family.ask("store ring one"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"), "list bus=socket ring=one x=other");
}

TEST_F(ParentTest, ABoundForTheStore) {
    Family family({"limit=64"});
    family.notify("READY=1");
    const std::string ten = " 1 2 3 4 5 6 7 8 9 0";
    for (int i = 0; i < 3; ++i) EXPECT_EQ(family.ask("store a" + ten), "ok");
    family.parent().say("store b" + ten);
    EXPECT_THAT(family.parent().hear(), HasSubstr("no room for its descriptors"));
    EXPECT_EQ(family.parent().hear(), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_THAT(family.ask("environment"), HasSubstr("LISTEN_FDS=32"));
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
    EXPECT_EXIT(std::exit(run_parent({"/nonexistent"}, {})), testing::ExitedWithCode(127),
                "running /nonexistent: No such file");
}

TEST_F(ParentTest, PassesOnSignalsAndStartsNothingMore) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        Family family;
        family.notify("READY=1");
        EXPECT_EQ(family.ask("catch"), "ok");
        family.parent().kill(signal);
        EXPECT_EQ(family.ask("await"), "got " + std::to_string(signal));
        EXPECT_EQ(family.let_worker_exit(7), "exited with status 7");
        EXPECT_EQ(family.parent().wait(), 7);
    }
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

TEST_F(ParentTest, IgnoresWhatHasLostItsDescriptors) {
    Family family;
    family.notify("READY=1");
    const pid_t parent = family.parent().pid();
    const auto before = descriptors_of(parent);
    rlimit limit{};
    ASSERT_EQ(::prlimit(parent, RLIMIT_NOFILE, nullptr, &limit), 0);
    const rlimit room_for_one{static_cast<rlim_t>(lowest_free_of(parent) + 1), limit.rlim_max};
    ASSERT_EQ(::prlimit(parent, RLIMIT_NOFILE, &room_for_one, nullptr), 0);
    family.parent().say("store ring one two three");
    EXPECT_THAT(family.parent().hear(), EndsWith("is ignored: no room for its descriptors"));
    EXPECT_EQ(family.parent().hear(), "ok");
    EXPECT_EQ(descriptors_of(parent), before);
    ASSERT_EQ(::prlimit(parent, RLIMIT_NOFILE, &limit, nullptr), 0);
    EXPECT_EQ(family.ask("store ring four"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"), "list ring=four");
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
    ::setenv("WATCHDOG_USEC", "1000000", 1);
    Family family;
    ::unsetenv("WATCHDOG_USEC");
    EXPECT_THAT(family.ask("environment"), testing::Not(HasSubstr("WATCHDOG_USEC")));
    EXPECT_THAT(family.notify("READY=1;STATUS=well"), ElementsAre());
    EXPECT_THAT(family.notify("READY=1"), ElementsAre());
    EXPECT_THAT(family.notify("STOPPING=1"), ElementsAre());
    for (const char* state : {"READY=1", "STOPPING=1"}) {
        const auto message = above.receive();
        ASSERT_TRUE(message);
        EXPECT_EQ(message->sender, family.parent().pid());
        EXPECT_THAT(message->assignments, ElementsAre(state));
    }
    EXPECT_FALSE(above.receive());
}

} // namespace
} // namespace shmbus::parent
