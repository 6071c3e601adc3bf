#include "daemon/control/shares.hpp"

#include <gtest/gtest.h>

namespace shmbus::control {
namespace {

/// What all take when each takes all that he may.
std::size_t most_used(const Shares& shares) {
    return 2 * (shares.connections + shares.connections_of_root + shares.connections_of_strangers) +
           shares.files;
}

TEST(Shares, AreAsManyAsTheLimitsSayWhereThereIsRoom) {
    const auto shares = shares_of({}, 20'000);
    EXPECT_EQ(shares.connections, 1'280U);
    EXPECT_EQ(shares.connections_per_user, 320U);
    EXPECT_EQ(shares.connections_of_root, 320U);
    EXPECT_EQ(shares.connections_of_strangers, 64U);
    EXPECT_EQ(shares.files_per_user, 512U);
    const auto more = shares_of({.sessions = 4'000, .sessions_per_user = 1'000}, 100'000);
    EXPECT_EQ(more.connections, 5'000U);
    EXPECT_EQ(more.connections_per_user, 1'250U);
}

TEST(Shares, NeverAddUpToMoreThanThereIsAndNobodyHasAll) {
    for (const std::size_t descriptors :
         {64U, 128U, 200U, 256U, 1'024U, 4'096U, 9'000U, 20'000U, 1U << 20U})
        for (const registry::Limits& limits :
             {registry::Limits{}, registry::Limits{.sessions = 10, .sessions_per_user = 5},
              registry::Limits{.sessions = 100'000, .sessions_per_user = 100'000}}) {
            const auto shares = shares_of(limits, descriptors);
            EXPECT_LE(most_used(shares), descriptors / 2) << descriptors;
            EXPECT_LE(shares.connections_per_user, shares.connections / 2) << descriptors;
            EXPECT_LE(shares.files_per_user, shares.files / 2) << descriptors;
            EXPECT_GE(shares.connections_per_user, 1U) << descriptors;
            EXPECT_GE(shares.files_per_user, 1U) << descriptors;
        }
}

} // namespace
} // namespace shmbus::control
