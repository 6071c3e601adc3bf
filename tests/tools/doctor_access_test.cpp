#include "tools/doctor/access.hpp"
#include "tools/doctor_fixture.hpp"

#include <unistd.h>

namespace shmbus::tools::doctor {
namespace {

const User ann{.id = 4711, .name = "ann"};
const User ann_since{.id = 4711, .name = "ann", .groups_to_come = {"audio", "shmbus"}};

Greeting refused(Errc code, const std::string& message) {
    return {.refusal = Refusal{code, message}};
}

TEST(DoctorAccess, IsWell) {
    expect_none(findings_of({.version = "1.2.3"}, ann, "1.2.3"));
    expect_none(findings_of({}, ann, "1.2.3"));
}

TEST(DoctorAccess, TheDaemonsRemedyIsTheRemedy) {
    const auto greeting =
        refused(Errc::permission, "user 4711 may not use this bus: only root and "
                                  "group shmbus may; as root: usermod -aG shmbus");
    expect_one(findings_of(greeting, ann, "1"), Severity::error, "only root and group shmbus may",
               "as root: usermod -aG shmbus");
}

TEST(DoctorAccess, WhoIsInTheGroupLogsInAgain) {
    const auto greeting = refused(Errc::permission, "only group shmbus may; usermod -aG");
    expect_one(findings_of(greeting, ann_since, "1"), Severity::error,
               "ann is in group shmbus only since", "log in again");
    const auto other = refused(Errc::permission, "only root, user 0 and group tellers may; x");
    const User teller{.id = 1, .groups_to_come = {"tellers"}};
    expect_one(findings_of(other, teller, "1"), Severity::error, "user 1 is in group tellers",
               "sg tellers");
    const User neither{.id = 1, .groups_to_come = {"audio"}};
    expect_one(findings_of(other, neither, "1"), Severity::error, "only root", "x");
}

TEST(DoctorAccess, WhoIsLetInAnywayIsOnlyTold) {
    expect_one(findings_of({}, ann_since, "1"), Severity::note, "group shmbus", "log in again");
    expect_none(findings_of({}, {.id = 1, .groups_to_come = {"audio"}}, "1"));
}

TEST(DoctorAccess, VersionsDiffer) {
    expect_one(findings_of({.version = "1.2.3"}, ann, "1.3.0"), Severity::warning,
               "the daemon is of version 1.2.3, this program of 1.3.0", "start the daemon again");
}

TEST(DoctorAccess, OtherRefusals) {
    expect_one(findings_of(refused(Errc::incompatible, "version 2 of the protocol"), ann, "1"),
               Severity::error, "version 2 of the protocol", "of one version");
    expect_one(findings_of(refused(Errc::timed_out, "did not answer; is it stopped?"), ann, "1"),
               Severity::error, "is it stopped?", "ps -C shmbusd");
    expect_one(findings_of(refused(Errc::disconnected, "closed; it is stopping"), ann, "1"),
               Severity::error, "closed; it is stopping", "journalctl");
    expect_one(findings_of(refused(Errc::limit, "too many sessions; end some"), ann, "1"),
               Severity::error, "too many sessions", "end some");
}

TEST(DoctorAccess, TheLogTellsTheVersion) {
    EXPECT_EQ(version_in("connected to the daemon at /a, shmbusd 1, shmbusd 0.1.0"), "0.1.0");
    EXPECT_EQ(version_in("connected to the daemon at /a, another 0.1.0"), "");
    EXPECT_EQ(version_in("the daemon at /a, shmbusd 0.1.0"), "");
}

TEST(DoctorAccess, KnowsWhoAsks) { EXPECT_EQ(current_user().id, ::geteuid()); }

TEST(DoctorAccess, NobodyThereIsARefusal) {
    const auto greeting = greet({.socket = "/nowhere/shmbus.sock"});
    EXPECT_FALSE(greeting.bus);
    ASSERT_TRUE(greeting.refusal);
    EXPECT_EQ(greeting.refusal->code, Errc::no_daemon);
}

} // namespace
} // namespace shmbus::tools::doctor
