#include "tools/text.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace shmbus::tools {
namespace {

using namespace std::string_literals;

TEST(Utf8, IsWhatRfc3629SaysItIs) {
    for (const auto& text : {""s, "a\0b"s, "\u00e4"s, "\u20ac"s, "\U0001F600"s, "\xed\x9f\xbf"s,
                             "\xf4\x8f\xbf\xbf"s, "\x7f"s})
        EXPECT_TRUE(is_utf8(text)) << to_hex(text);
    for (const auto& text :
         {"\x80"s, "\xc3"s, "\xc0\x80"s, "\xc1\xbf"s, "\xe0\x80\x80"s, "\xe2\x82"s, "\xed\xa0\x80"s,
          "\xf0\x80\x80\x80"s, "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s, "\xff"s, "a\xc3\x28"s})
        EXPECT_FALSE(is_utf8(text)) << to_hex(text);
}

TEST(Encodings, MatchTheirDefinitions) {
    EXPECT_EQ(to_hex("\x00\x7f\xff"s), "007fff"); // the first byte is no end
    EXPECT_EQ(to_base64(""), "");
    EXPECT_EQ(to_base64("f"), "Zg==");
    EXPECT_EQ(to_base64("fo"), "Zm8=");
    EXPECT_EQ(to_base64("foo"), "Zm9v");
    EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
    EXPECT_EQ(to_base64("\xff\xfe\xfd"s), "//79");
}

TEST(JsonText, IsTextOrBase64) {
    Json json;
    put_bytes(json, "a", "text");
    put_bytes(json, "b", "\xff");
    EXPECT_EQ(to_line(json), "{\"a\":\"text\",\"b_base64\":\"/w==\"}\n");
}

} // namespace
} // namespace shmbus::tools
