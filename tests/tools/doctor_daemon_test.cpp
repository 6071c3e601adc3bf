#include "tools/doctor/daemon.hpp"
#include "tools/doctor_fixture.hpp"

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
    facts.has_parent = true;
    expect_one(findings_of(facts, 0), Severity::warning, "has been replaced", "kill -KILL 4711");
}

TEST(DoctorDaemon, NobodyKeepsItsMemory) {
    auto facts = well();
    expect_one(findings_of(facts, 2), Severity::note, "the memory of 2 topics", "--supervise");
    facts.has_parent = true;
    expect_none(findings_of(facts, 2));
    facts.has_parent = false;
    facts.service = {"shmbusd.service", false};
    expect_none(findings_of(facts, 2));
}

TEST(DoctorDaemon, IsNoOtherProcess) {
    EXPECT_FALSE(look_at_daemon(static_cast<std::uint32_t>(::getpid())).is_known());
    EXPECT_FALSE(look_at_daemon(0).is_known());
}

} // namespace
} // namespace shmbus::tools::doctor
