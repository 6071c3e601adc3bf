#include "daemon/config/unit_file.hpp"

#include <gmock/gmock.h>

namespace shmbus::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// "[Section] Key=value …", as it was understood.
std::string understood(std::string_view text) {
    std::string all;
    for (const auto& section : parse_unit_file(text, "f")) {
        all += "[" + section.name + "]";
        for (const auto& assignment : section.assignments)
            all += " " + assignment.key + "=" + assignment.value + "@" +
                   std::to_string(assignment.place.line);
        all += "\n";
    }
    return all;
}

template <class Work> std::string refusal(Work work) {
    try {
        (void)work();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::bad_argument);
        return e.what();
    }
    return "accepted";
}
std::string refused(std::string_view text) {
    return refusal([&] { return parse_unit_file(text, "f"); });
}

TEST(UnitFile, HasSectionsAndAssignments) {
    EXPECT_EQ(understood(""), "");
    EXPECT_EQ(understood("[A]\nx=1\n\ny = two words  \n[B b]\n"),
              "[A] x=1@2 y=two words@4\n[B b]\n");
    EXPECT_EQ(understood("[A]\nx=1\nx=\nx=a=b"), "[A] x=1@2 x=@3 x=a=b@4\n")
        << "the end needs no line's end";
    EXPECT_EQ(understood("[A]\n[A]\nx=1\n"), "[A]\n[A] x=1@3\n");
    EXPECT_EQ(understood("[A]\r\nx=1\r\n"), "[A] x=1@2\n");
}

TEST(UnitFile, LeavesOutComments) {
    EXPECT_EQ(understood("# [X]\n;x\n[A]\n # x=1\nx=1 # no comment\n"), "[A] x=1 # no comment@5\n");
}

TEST(UnitFile, GoesOnInTheNextLine) {
    EXPECT_EQ(understood("[A]\nx=1 \\\n  2\\\n3\ny=4\n"), "[A] x=1  2 3@2 y=4@5\n");
    EXPECT_EQ(understood("[A]\nx=1 \\\n# a comment\n; another\n2\n"), "[A] x=1  2@2\n");
    EXPECT_EQ(understood("[A]\nx=1\\\n\ny=2\n"), "[A] x=1@2 y=2@4\n") << "an empty line ends it";
    EXPECT_EQ(understood("[A]\nx=1\\\\\ny=2\n"), "[A] x=1\\\\@2 y=2@3\n");
    EXPECT_EQ(understood("[A]\nx=1\\"), "[A] x=1@2\n");
}

TEST(UnitFile, SaysWhatIsWrongAndWhere) {
    EXPECT_EQ(refused("x=1\n"), "f:1: x= stands before any [SECTION]");
    EXPECT_EQ(refused("[A]\n\nwhat\n"), "f:3: 'what' is neither [SECTION] nor KEY=VALUE");
    EXPECT_EQ(refused("[A]\n=1\n"), "f:2: '=1' is neither [SECTION] nor KEY=VALUE");
    EXPECT_EQ(refused("[A\n"), "f:1: '[A' is no section: write [NAME]");
    EXPECT_EQ(refused("[]\n"), "f:1: '[]' is no section: write [NAME]");
    EXPECT_EQ(refused("[\n"), "f:1: '[' is no section: write [NAME]");
    EXPECT_THAT(refused("[A]\nx=1\x1b[2J\n"), StartsWith("f:2: a control character"));
    EXPECT_THAT(refused("[A]\nx=1\r2\n"), StartsWith("f:2: a control character"));
    EXPECT_THAT(refused(std::string_view("[A]\nx=\0\n", 8)),
                StartsWith("f:2: a control character"));
}

TEST(UnitFile, HasBounds) {
    const std::string longest(max_value_bytes - 2, 'x');
    EXPECT_EQ(parse_unit_file("[A]\nx=" + longest, "f")[0].assignments[0].value, longest);
    EXPECT_THAT(refused("[A]\nx=" + longest + "x"), StartsWith("f:2: a line is longer than"));
    std::string endless = "[A]\nx=";
    for (std::size_t i = 0; i < max_value_bytes; ++i) endless += "\\\n";
    EXPECT_THAT(refused(endless), StartsWith("f:2: a line is longer than"));
    EXPECT_THAT(refused(std::string(max_file_bytes + 1, '#')), HasSubstr("is larger than"));
}

TEST(Words, AreApartByBlanksUnlessQuoted) {
    EXPECT_THAT(words_of(""), IsEmpty());
    EXPECT_THAT(words_of(" a  b\tc "), ElementsAre("a", "b", "c"));
    EXPECT_THAT(words_of("'a b' \"c d\"e ''"), ElementsAre("a b", "c de", ""));
    EXPECT_THAT(words_of("it\"'\"s D\\u"), ElementsAre("it's", "D\\u"));
    EXPECT_EQ(refusal([] { return words_of("a 'b"); }), "a quote ' is not closed");
}

TEST(YesOrNo, HasManyWords) {
    for (const char* yes : {"1", "yes", "True", "ON"}) EXPECT_TRUE(yes_or_no(yes));
    for (const char* no : {"0", "no", "false", "off"}) EXPECT_FALSE(yes_or_no(no));
    EXPECT_EQ(refusal([] { return yes_or_no("maybe"); }), "'maybe' is neither yes nor no");
}

} // namespace
} // namespace shmbus::config
