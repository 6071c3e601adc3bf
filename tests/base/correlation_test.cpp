#include "shmbus/types.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>

namespace shmbus {
namespace {

constexpr const char* hex = "00112233445566778899aabbccddeeff";

TEST(CorrelationId, IsReadFromAndWrittenAsHexadecimal) {
    const auto id = CorrelationId::parse(hex);
    ASSERT_TRUE(id);
    EXPECT_EQ(id->bytes[1], 0x11);
    EXPECT_EQ(id->bytes[15], 0xff);
    EXPECT_EQ(id->to_string(), hex);
    EXPECT_EQ(CorrelationId::parse("00112233445566778899AABBCCDDEEFF"), id);
}

TEST(CorrelationId, IsNothingElse) {
    const std::string text = hex;
    EXPECT_FALSE(CorrelationId::parse(""));
    EXPECT_FALSE(CorrelationId::parse(text.substr(1)));
    EXPECT_FALSE(CorrelationId::parse(text + '0'));
    for (const char wrong : {'g', 'G', ' ', '-', '/', ':', '@', '`', '\0', '\xff'})
        for (const std::size_t at : {0U, 1U, 31U}) {
            auto damaged = text;
            damaged[at] = wrong;
            EXPECT_FALSE(CorrelationId::parse(damaged)) << at << ' ' << wrong;
        }
}

TEST(CorrelationId, ZeroMeansNone) {
    EXPECT_TRUE(CorrelationId{}.empty());
    EXPECT_FALSE(CorrelationId::parse(hex)->empty());
    EXPECT_EQ(CorrelationId{}.to_string(), std::string(32, '0'));
}

TEST(CorrelationId, RandomOnesDiffer) {
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
        const auto id = CorrelationId::random();
        EXPECT_FALSE(id.empty());
        EXPECT_TRUE(seen.insert(id.to_string()).second);
    }
}

} // namespace
} // namespace shmbus
