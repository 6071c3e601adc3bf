// The extension block: what is written is read, and no length leads outside.
#include "layout/extension.hpp"

#include <gtest/gtest.h>
#include <initializer_list>
#include <string>
#include <vector>

namespace shmbus::layout {
namespace {

using Block = std::vector<std::byte>;

Block block_of(std::initializer_list<int> bytes) {
    Block block; // exactly as large: AddressSanitizer sees a read beyond it
    for (const int byte : bytes) block.push_back(static_cast<std::byte>(byte));
    return block;
}

class Extension : public testing::Test {
  protected:
    [[nodiscard]] Block block() const { return {buffer.begin(), buffer.begin() + writer.size()}; }
    Block buffer = Block(max_extension_bytes);
    ExtensionWriter writer{buffer.data()};
};

TEST_F(Extension, EmptyHasNothing) {
    EXPECT_EQ(writer.size(), 0U);
    const ExtensionReader reader;
    EXPECT_EQ(reader.key(), "");
    EXPECT_FALSE(reader.cause());
    EXPECT_FALSE(reader.parent());
    EXPECT_FALSE(reader.header(0));
}

TEST_F(Extension, GivesBackWhatWasWritten) {
    writer.header({"name", "value"});
    writer.parent({{1, 2, 3, 4, 5, 6, 7, 8}, 9});
    writer.key("a key");
    writer.header({"", ""});
    writer.cause({~0ULL - 1, "topic"});
    writer.header({std::string_view("\0x", 2), "last"});
    const auto bytes = block();
    const ExtensionReader reader(bytes);
    EXPECT_EQ(reader.key(), "a key");
    ASSERT_TRUE(reader.cause());
    EXPECT_EQ(reader.cause()->sequence, ~0ULL - 1);
    EXPECT_EQ(reader.cause()->topic, "topic");
    ASSERT_TRUE(reader.parent());
    EXPECT_EQ(reader.parent()->id, (std::array<std::uint8_t, 8>{1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_EQ(reader.parent()->flags, 9);
    ASSERT_TRUE(reader.header(0) && reader.header(1) && reader.header(2));
    EXPECT_EQ(reader.header(0)->value, "value");
    EXPECT_EQ(reader.header(1)->name, "");
    EXPECT_EQ(reader.header(2)->name, std::string_view("\0x", 2));
    EXPECT_FALSE(reader.header(3));
}

TEST_F(Extension, HasRoomForTheLargestOfEverything) {
    const std::string key(max_key_bytes, 'k');
    const std::string topic(max_name_bytes, 't');
    const std::string value(max_headers_bytes - header_field_bytes, 'v');
    writer.key(key);
    writer.cause({1, topic});
    writer.parent({});
    writer.header({"", value});
    EXPECT_LE(writer.size(), max_extension_bytes);
    const auto bytes = block();
    EXPECT_EQ(ExtensionReader(bytes).key(), key);
    EXPECT_EQ(ExtensionReader(bytes).header(0)->value, value);
}

TEST_F(Extension, IsLaidOutAsDocumented) {
    writer.key("ab");
    EXPECT_EQ(block(), block_of({1, 0, 2, 0, 'a', 'b'}));
}

TEST(ExtensionReader, SkipsTagsItDoesNotKnow) {
    const auto bytes = block_of({99, 0, 3, 0, 7, 7, 7, 0, 0, 0, 0, 1, 0, 1, 0, 'k'});
    EXPECT_EQ(ExtensionReader(bytes).key(), "k");
}

TEST(ExtensionReader, IgnoresFieldsOfTheWrongSize) {
    const auto shorter =
        block_of({2, 0, 7, 0, 1, 2, 3, 4, 5, 6, 7, 3, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8});
    EXPECT_FALSE(ExtensionReader(shorter).cause());
    EXPECT_FALSE(ExtensionReader(shorter).parent());
    const auto header = block_of({4, 0, 1, 0, 0});
    EXPECT_FALSE(ExtensionReader(header).header(0));
    const auto name_too_long = block_of({4, 0, 3, 0, 2, 0, 'n'});
    EXPECT_FALSE(ExtensionReader(name_too_long).header(0));
    Block long_key(4 + 256, std::byte{'k'});
    long_key[0] = std::byte{1}, long_key[1] = std::byte{0};
    long_key[2] = std::byte{0}, long_key[3] = std::byte{1};
    EXPECT_EQ(ExtensionReader(long_key).key(), "");
    Block long_topic(4 + 8 + 129, std::byte{'t'});
    long_topic[0] = std::byte{2}, long_topic[1] = std::byte{0};
    long_topic[2] = std::byte{137}, long_topic[3] = std::byte{0};
    EXPECT_FALSE(ExtensionReader(long_topic).cause());
}

TEST(ExtensionReader, StopsWhereAFieldRunsOverTheEnd) {
    EXPECT_EQ(ExtensionReader(block_of({1, 0, 3, 0, 'a', 'b'})).key(), "");
    EXPECT_EQ(ExtensionReader(block_of({99, 0, 255, 255, 1, 0, 1, 0, 'k'})).key(), "");
    for (const auto& cut : {block_of({1}), block_of({1, 0}), block_of({1, 0, 0})})
        EXPECT_EQ(ExtensionReader(cut).key(), "");
}

TEST(ExtensionReader, EveryPrefixOfABlockIsSafe) {
    Block buffer(max_extension_bytes);
    ExtensionWriter writer(buffer.data());
    writer.key("key");
    writer.cause({7, "topic"});
    writer.parent({});
    writer.header({"n", "v"});
    for (std::size_t size = 0; size <= writer.size(); ++size) {
        const Block prefix(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
        const ExtensionReader reader(prefix);
        (void)reader.key(), (void)reader.cause(), (void)reader.parent();
        EXPECT_EQ(reader.header(0).has_value(), size == writer.size());
    }
}

} // namespace
} // namespace shmbus::layout
