#include "tools/doctor/host.hpp"
#include "tools/doctor_fixture.hpp"

namespace shmbus::tools::doctor {
namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30U;

HostFacts well() {
    return {.kernel = "6.1.0",
            .missing_calls = {},
            .clock = "tsc",
            .clocks = "tsc hpet acpi_pm",
            .hidden_processes = {},
            .memory = 8 * gib,
            .available_memory = 4 * gib};
}

TEST(DoctorHost, IsWell) {
    expect_none(findings_of(well(), 8 * gib));
    expect_none(findings_of({}, 0));
}

TEST(DoctorHost, LacksACall) {
    auto facts = well();
    facts.missing_calls = {"futex_waitv (Function not implemented)"};
    expect_one(findings_of(facts, 0), Severity::error, "futex_waitv (Function not implemented)",
               "Linux 5.16");
}

TEST(DoctorHost, HasASlowClock) {
    auto facts = well();
    for (const auto* const clock : {"hpet", "acpi_pm", "jiffies"}) {
        facts.clock = clock;
        expect_one(findings_of(facts, 0), Severity::warning, clock, "echo tsc >");
    }
    facts.clocks = "hpet acpi_pm ";
    expect_one(findings_of(facts, 0), Severity::warning, "jiffies", "journalctl -k");
    for (const auto* const clock :
         {"kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"}) {
        facts.clock = clock;
        expect_none(findings_of(facts, 0));
    }
}

TEST(DoctorHost, HidesProcesses) {
    auto facts = well();
    facts.hidden_processes = "hidepid=2";
    expect_one(findings_of(facts, 0), Severity::warning, "hidepid=2", "mount -o remount");
}

TEST(DoctorHost, IsShortOfMemory) {
    auto facts = well();
    facts.available_memory = facts.memory / 20 - 1;
    expect_one(findings_of(facts, 0), Severity::warning, "of 8G of memory left", "ps ax");
    expect_one(findings_of(well(), 8 * gib + 1), Severity::warning, "topics may take 8G", "--pool");
}

TEST(DoctorHost, IsLookedAt) {
    const auto facts = look_at_host();
    EXPECT_FALSE(facts.kernel.empty());
    EXPECT_TRUE(facts.missing_calls.empty()) << facts.missing_calls.front();
    EXPECT_GT(facts.memory, facts.available_memory);
    EXPECT_GT(facts.available_memory, 0U);
}

TEST(DoctorHost, TheLastMountOfProcCounts) {
    EXPECT_EQ(hiding_option("proc /proc proc rw,nosuid,hidepid=invisible 0 0\n"),
              "hidepid=invisible");
    EXPECT_EQ(hiding_option("proc /proc proc rw,hidepid=2 0 0\nproc /proc proc rw 0 0\n"), "");
    EXPECT_EQ(hiding_option("proc /proc proc rw,hidepid=0 0 0\n"), "");
    EXPECT_EQ(hiding_option("proc /x/proc proc rw,hidepid=2 0 0\n"), "");
    EXPECT_EQ(hiding_option(""), "");
}

} // namespace
} // namespace shmbus::tools::doctor
