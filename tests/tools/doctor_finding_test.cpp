#include "tools/doctor_fixture.hpp"

#include <nlohmann/json.hpp>

namespace shmbus::tools::doctor {
namespace {

Finding finding(Severity severity, const std::string& what = "w") {
    return {severity, "host", what, "do this"};
}

TEST(DoctorFinding, TheWorstComesFirst) {
    Findings findings{finding(Severity::note, "1"), finding(Severity::error, "2"),
                      finding(Severity::warning, "3"), finding(Severity::error, "4")};
    put_worst_first(findings);
    std::string order;
    for (const auto& one : findings) order += one.what;
    EXPECT_EQ(order, "2431");
}

TEST(DoctorFinding, CountsThem) {
    EXPECT_EQ(tally_of({}), "nothing wrong");
    EXPECT_EQ(tally_of({finding(Severity::note)}), "nothing wrong, 1 note");
    EXPECT_EQ(tally_of({finding(Severity::error), finding(Severity::warning),
                        finding(Severity::warning), finding(Severity::note)}),
              "1 error, 2 warnings, 1 note");
}

TEST(DoctorFinding, OnlyErrorsAreErrors) {
    EXPECT_FALSE(has_errors({finding(Severity::warning), finding(Severity::note)}));
    EXPECT_TRUE(has_errors({finding(Severity::note), finding(Severity::error)}));
}

TEST(DoctorFinding, AsText) {
    EXPECT_EQ(text_of(finding(Severity::error, "bad"), false),
              "error    bad\n         -> do this\n");
    EXPECT_EQ(text_of({Severity::note, "host", "well"}, false), "note     well\n");
    EXPECT_TRUE(contains(text_of(finding(Severity::error), true), "\x1b[1;31merror"));
    EXPECT_TRUE(contains(text_of(finding(Severity::note, "a\x1b[2Jb"), false), "a\\x1b[2Jb"));
}

TEST(DoctorFinding, AsJson) {
    auto one = finding(Severity::warning);
    EXPECT_EQ(json_of(one).dump(),
              R"({"severity":"warning","check":"host","what":"w","do":"do this"})");
    one.topic = "t";
    EXPECT_EQ(json_of(one)["topic"], "t");
}

TEST(DoctorFinding, FromAMessageWithARemedy) {
    const auto both = from_message(Severity::error, "socket", "no socket: why; set it; or not");
    EXPECT_EQ(both.what, "no socket: why");
    EXPECT_EQ(both.what_to_do, "set it; or not");
    EXPECT_EQ(from_message(Severity::error, "socket", "why").what_to_do, "");
}

TEST(DoctorFinding, QuotesForAShell) {
    EXPECT_EQ(quoted("/run/a_b-c.sock"), "/run/a_b-c.sock");
    EXPECT_EQ(quoted("a b"), "'a b'");
    EXPECT_EQ(quoted("$(x)'"), R"('$(x)'\''')");
    EXPECT_EQ(quoted(""), "''");
}

} // namespace
} // namespace shmbus::tools::doctor
