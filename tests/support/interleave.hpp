// One party's action before each access of another's, place by place.
#pragma once

#include "support/recorder.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace shmbus::test {

/// Calls `round(n)` until it says that n was beyond the last access.
inline void at_every_access(const std::function<bool(std::size_t)>& round) {
    std::size_t n = 0;
    for (; round(n); ++n)
        if (testing::Test::HasFailure()) {
            ADD_FAILURE() << "at access " << n;
            return;
        }
    EXPECT_GT(n, 2U);
}

/// How many of the texts contain this.
inline std::size_t times(const Strings& all, const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](const auto& one) { return one.find(text) != one.npos; }));
}

} // namespace shmbus::test
