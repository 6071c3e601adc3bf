#include "base/random.hpp"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>

namespace shmbus::base {
namespace {

TEST(Random, FillsAllOfItEachTimeAnew) {
    std::array<std::byte, 256> first{};
    std::array<std::byte, 256> second{};
    fill_random(first);
    fill_random(second);
    EXPECT_NE(first, second);
    // 256 random bytes are not half zeros.
    EXPECT_LT(std::count(first.begin(), first.end(), std::byte{0}), 128);
    EXPECT_NE(std::count(first.end() - 32, first.end(), std::byte{0}), 32);
    EXPECT_NO_THROW(fill_random({}));
}

} // namespace
} // namespace shmbus::base
