#include "tools/spawn.hpp"

#include <gtest/gtest.h>

namespace shmbus::tools {
namespace {

using namespace std::chrono_literals;

constexpr auto ample = 60s;

TEST(OutputOf, IsWhatAProgramPrints) {
    EXPECT_EQ(output_of({"echo", "a", "b"}, ample), "a b\n");
    EXPECT_EQ(output_of({"true"}, ample), "");
    EXPECT_EQ(output_of({"cat"}, ample), ""); // nothing to read
    EXPECT_EQ(output_of({"sh", "-c", "echo lost >&2"}, ample), "");
}

TEST(OutputOf, IsNothingFromOneThatFails) {
    EXPECT_FALSE(output_of({"sh", "-c", "echo x; exit 1"}, ample));
    EXPECT_FALSE(output_of({"no-such-program-anywhere"}, ample));
    EXPECT_FALSE(output_of({"cat", "/dev/zero"}, ample)); // too much
}

TEST(OutputOf, DoesNotWaitForEver) {
    EXPECT_FALSE(output_of({"sleep", "1000"}, 50ms));
    EXPECT_FALSE(output_of({"sh", "-c", "exec sleep 1000 >/dev/null"}, 50ms));
}

} // namespace
} // namespace shmbus::tools
