#include "support/temporary_directory.hpp"
#include "tools/doctor/daemon.hpp"
#include "tools/doctor/socket.hpp"
#include "tools/doctor_fixture.hpp"

#include <csignal>
#include <cstring>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::tools::doctor {
namespace {

DaemonFacts well() {
    return {.process = {.pid = 4711, .command = "shmbusd", .state = 'S', .parent = 1},
            .user = 0,
            .most_files = 1'000,
            .open_files = 900,
            .program = "/usr/sbin/shmbusd"};
}

TEST(DoctorDaemon, IsWell) {
    expect_none(findings_of(well(), 0));
    expect_none(findings_of({}, 7));
}

TEST(DoctorDaemon, IsStopped) {
    auto facts = well();
    for (const char state : {'T', 't'}) {
        facts.process.state = state;
        expect_one(findings_of(facts, 0), Severity::error, "(pid 4711) is stopped",
                   "kill -CONT 4711");
    }
}

TEST(DoctorDaemon, ItsParentIsStopped) {
    auto facts = well();
    facts.parent = {.pid = 17, .command = "shmbusd", .state = 'S'};
    expect_none(findings_of(facts, 0));
    EXPECT_FALSE(facts.is_held());
    facts.parent.state = 'T';
    expect_one(findings_of(facts, 0), Severity::error,
               "the parent of the daemon (pid 17) is stopped", "kill -CONT 17");
    EXPECT_FALSE(facts.is_held()); // the daemon answers
    facts.process = {};
    expect_one(
        findings_of(facts, 0), Severity::error,
        "the daemon is dead, and its parent (pid 17), which would start it again, is stopped",
        "kill -CONT 17");
    EXPECT_TRUE(facts.is_held());
}

TEST(DoctorDaemon, HasManyFiles) {
    auto facts = well();
    facts.open_files = 901;
    expect_one(findings_of(facts, 0), Severity::warning, "901 files open, and may have 1000",
               "LimitNOFILE=");
    facts.most_files.reset();
    expect_none(findings_of(facts, 0));
}

TEST(DoctorDaemon, RunsAnOldProgram) {
    auto facts = well();
    facts.program = "/usr/sbin/shmbusd (deleted)";
    expect_one(findings_of(facts, 0), Severity::warning, "has been replaced", "start it again");
    facts.service = {"shmbusd.service", true};
    expect_one(findings_of(facts, 0), Severity::warning, "has been replaced",
               "systemctl --user restart shmbusd.service");
    facts.service = {};
    facts.parent = {.pid = 17, .command = "shmbusd", .state = 'S'};
    expect_one(findings_of(facts, 0), Severity::warning, "has been replaced", "kill -KILL 4711");
}

TEST(DoctorDaemon, NobodyKeepsItsMemory) {
    auto facts = well();
    expect_one(findings_of(facts, 2), Severity::note, "the memory of 2 topics", "--supervise");
    facts.parent = {.pid = 17, .command = "shmbusd", .state = 'S'};
    expect_none(findings_of(facts, 2));
    facts.parent = {};
    facts.service = {"shmbusd.service", false};
    expect_none(findings_of(facts, 2));
}

TEST(DoctorDaemon, IsNoOtherProcess) {
    EXPECT_FALSE(look_at_daemon(static_cast<std::uint32_t>(::getpid()), "").is_known());
    EXPECT_FALSE(look_at_daemon(0, "").is_known());
    EXPECT_TRUE(look_at_daemon(static_cast<std::uint32_t>(::getpid()), "").shares_our_pids);
    EXPECT_FALSE(look_at_daemon(0, "").shares_our_pids); // it cannot be seen from here
}

/// Keeps a socket that the dead child of it listened at last, and stands still.
[[noreturn]] void be_a_stopped_keeper(const std::string& path) {
    ::prctl(PR_SET_NAME, "shmbusd");
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) ::_exit(1);
    const pid_t daemon = ::fork();
    if (daemon == 0) ::_exit(::listen(fd, 8));
    ::waitpid(daemon, nullptr, 0);
    ::raise(SIGSTOP);
    ::_exit(0);
}

TEST(DoctorDaemon, AStoppedParentIsFoundByTheSocketThatItKeeps) {
    const test::TemporaryDirectory directory;
    const std::string path = directory.path() / "s";
    const pid_t keeper = ::fork();
    if (keeper == 0) be_a_stopped_keeper(path);
    int status = 0;
    ASSERT_EQ(::waitpid(keeper, &status, WUNTRACED), keeper);
    ASSERT_TRUE(WIFSTOPPED(status));
    const auto facts = look_at_daemon(listener_at(path), path);
    EXPECT_FALSE(facts.is_known());
    EXPECT_TRUE(facts.is_held());
    EXPECT_EQ(facts.parent.pid, static_cast<std::uint32_t>(keeper));
    EXPECT_FALSE(look_at_daemon(0, path + "t").has_parent());
    ::kill(keeper, SIGKILL);
    ::waitpid(keeper, nullptr, 0);
}

} // namespace
} // namespace shmbus::tools::doctor
