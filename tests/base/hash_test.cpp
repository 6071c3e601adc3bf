#include "base/hash.hpp"

#include <gtest/gtest.h>

namespace shmbus::base {
namespace {

// Other processes, and other versions of the library, compute the same.
TEST(KeyHash, NeverChanges) {
    EXPECT_EQ(key_hash(""), 0x38d394c2U); // XXH3_64bits of nothing: 2d06800538d394c2
    EXPECT_NE(key_hash("a"), key_hash("b"));
    EXPECT_EQ(key_hash("order-4711"),
              key_hash(std::string_view("order-4711, and more").substr(0, 10)));
}

TEST(Checksum, NeverChanges) {
    EXPECT_EQ(checksum({}), 0x2d06'8005'38d3'94c2U);
    const std::string_view text = "what is kept";
    const auto bytes = std::as_bytes(std::span(text));
    EXPECT_EQ(checksum(bytes, 0), checksum(bytes));
    EXPECT_NE(checksum(bytes, 1), checksum(bytes));
    EXPECT_EQ(checksum(bytes, 1), 2142634584201848819U);
}

} // namespace
} // namespace shmbus::base
