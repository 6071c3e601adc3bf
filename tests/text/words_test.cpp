#include "text/words.hpp"

#include <gtest/gtest.h>

namespace shmbus::text {
namespace {

TEST(Printable, ShowsWhatATerminalWouldObey) {
    EXPECT_EQ(printable("plain text"), "plain text");
    EXPECT_EQ(printable("\x1b[31m\n\xff\x7f"), "\\x1b[31m\\x0a\\xff\\x7f");
}

TEST(NearestWord, ForgivesASlip) {
    const std::vector<std::string> verbs{"topic", "pub", "sub"};
    EXPECT_EQ(nearest_word("topics", verbs), "topic");
    EXPECT_EQ(nearest_word("tpic", verbs), "topic");
    EXPECT_EQ(nearest_word("publish", verbs), "");
    EXPECT_EQ(nearest_word("su", verbs), "sub");
    EXPECT_EQ(nearest_word("bup", verbs), "pub");
    EXPECT_EQ(nearest_word("xyz", verbs), "");
    EXPECT_EQ(nearest_word("", verbs), "");
}

} // namespace
} // namespace shmbus::text
