#include "tools/doctor/units.hpp"
#include "tools/doctor_fixture.hpp"

namespace shmbus::tools::doctor {
namespace {

const Process daemon{.pid = 4711, .command = "shmbusd", .state = 'S', .parent = 1};

UnitFacts well() {
    return {.service = {{"Id", "shmbusd.service"},
                        {"MainPID", "4711"},
                        {"LoadState", "loaded"},
                        {"ActiveState", "active"},
                        {"UnitFileState", "disabled"},
                        {"Result", "success"},
                        {"NeedDaemonReload", "no"},
                        {"NRestarts", "0"},
                        {"FileDescriptorStoreMax", "100"},
                        {"NFileDescriptorStore", "90"},
                        {"MemoryCurrent", "90000000"},
                        {"MemoryMax", "infinity"}},
            .socket = {{"Id", "shmbusd.socket"},
                       {"LoadState", "loaded"},
                       {"ActiveState", "active"},
                       {"UnitFileState", "enabled"}}};
}

void expect_for_service(const char* property, const char* value, Severity severity,
                        const char* what, const char* what_to_do) {
    auto facts = well();
    facts.service[property] = value;
    expect_one(findings_of(facts, daemon), severity, what, what_to_do);
}

void expect_for_socket(const char* property, const char* value, Severity severity, const char* what,
                       const char* what_to_do) {
    auto facts = well();
    facts.socket[property] = value;
    expect_one(findings_of(facts, daemon), severity, what, what_to_do);
}

TEST(DoctorUnits, AreWell) {
    expect_none(findings_of(well(), daemon));
    expect_none(findings_of(well(), std::nullopt));
    auto without_socket = well();
    without_socket.socket.clear();
    expect_none(findings_of(without_socket, daemon));
}

TEST(DoctorUnits, AreNotInstalled) {
    UnitFacts facts{.service = {{"Id", "shmbusd.service"}, {"LoadState", "not-found"}}};
    EXPECT_FALSE(facts.are_installed());
    expect_one(findings_of(facts, daemon), Severity::note, "units are not there", "meson install");
    expect_none(findings_of(facts, std::nullopt));
    EXPECT_TRUE(well().are_installed());
}

TEST(DoctorUnits, CannotBeStarted) {
    expect_for_service("LoadState", "masked", Severity::error, "shmbusd.service is masked",
                       "systemctl unmask shmbusd.service");
    expect_for_service("LoadState", "bad-setting", Severity::error, "cannot be loaded: bad-setting",
                       "systemd-analyze verify");
    expect_for_socket("LoadState", "masked", Severity::error, "shmbusd.socket is masked", "unmask");
}

TEST(DoctorUnits, HaveFailed) {
    expect_for_service("ActiveState", "failed", Severity::error,
                       "shmbusd.service has failed (success)", "journalctl -u shmbusd.service");
    expect_for_socket("ActiveState", "failed", Severity::error, "shmbusd.socket has failed",
                      "systemctl reset-failed shmbusd.socket");
    auto facts = well();
    facts.is_users = true;
    facts.service["ActiveState"] = "failed";
    expect_one(findings_of(facts, daemon), Severity::error, "failed",
               "journalctl --user -u shmbusd.service -n 50; then systemctl --user reset-failed");
}

TEST(DoctorUnits, AreNotTriedAgainByALook) {
    auto facts = well();
    EXPECT_FALSE(facts.would_be_tried_again());
    facts.service["ActiveState"] = "failed";
    EXPECT_TRUE(facts.would_be_tried_again());
    facts.socket["ActiveState"] = "failed"; // then nobody is there to try
    EXPECT_FALSE(facts.would_be_tried_again());
}

TEST(DoctorUnits, HaveChanged) {
    expect_for_service("NeedDaemonReload", "yes", Severity::warning, "have changed",
                       "systemctl daemon-reload");
}

TEST(DoctorUnits, DoNotStartByThemselves) {
    expect_for_socket("ActiveState", "inactive", Severity::warning, "shmbusd.socket is not active",
                      "systemctl enable --now shmbusd.socket");
    expect_for_socket("UnitFileState", "disabled", Severity::warning, "is enabled",
                      "systemctl enable --now");
    auto facts = well();
    facts.socket["ActiveState"] = "inactive";
    facts.service["ActiveState"] = "inactive";
    facts.service["MainPID"] = "0";
    expect_one(findings_of(facts, daemon), Severity::note, "was not started by systemd",
               "stop the daemon");
    facts = well();
    facts.socket["UnitFileState"] = "disabled";
    facts.service["UnitFileState"] = "enabled";
    expect_none(findings_of(facts, daemon));
}

TEST(DoctorUnits, KeepNothing) {
    expect_for_service("FileDescriptorStoreMax", "0", Severity::warning, "FileDescriptorStoreMax=0",
                       "systemctl edit shmbusd.service");
    auto supervised = well();
    supervised.service["FileDescriptorStoreMax"] = "0";
    expect_none(findings_of(supervised, Process{.pid = 4712, .state = 'S', .parent = 4711}));
    expect_for_service("NFileDescriptorStore", "91", Severity::warning, "91 descriptors",
                       "FileDescriptorStoreMax=200");
}

TEST(DoctorUnits, WereStartedAgain) {
    expect_for_service("NRestarts", "1", Severity::note, "again 1 time", "journalctl");
    expect_for_service("NRestarts", "5", Severity::warning, "again 5 times", "journalctl");
}

TEST(DoctorUnits, AreShortOfMemory) {
    expect_for_service("MemoryMax", "99000000", Severity::warning, "85 MiB of the 94 MiB",
                       "MemoryMax=");
    auto facts = well();
    facts.service["MemoryMax"] = "101000000";
    expect_none(findings_of(facts, daemon));
}

TEST(DoctorUnits, RunWhomTheySay) {
    EXPECT_TRUE(well().run(4711));
    EXPECT_FALSE(well().run(4712));
}

TEST(DoctorUnits, AsSystemctlShowsThem) {
    const auto units =
        parse_units("Id=a.service\nNRestarts=3\nResult=x=y\n\nId=a.socket\nLoadState=loaded\n");
    ASSERT_EQ(units.size(), 2U);
    EXPECT_EQ(units.at("a.service"),
              (Properties{{"Id", "a.service"}, {"NRestarts", "3"}, {"Result", "x=y"}}));
    EXPECT_EQ(units.at("a.socket").at("LoadState"), "loaded");
    EXPECT_TRUE(parse_units("").empty());
    EXPECT_TRUE(parse_units("nonsense\n\n=\n").empty());
}

} // namespace
} // namespace shmbus::tools::doctor
