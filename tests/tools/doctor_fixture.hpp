// What tests of shmbus doctor have in common: looking at what was found.
#pragma once

#include "tools/doctor/finding.hpp"

#include <gtest/gtest.h>

namespace shmbus::tools::doctor {

/// The only finding; anything else fails the test.
inline Finding the_one(const Findings& findings) {
    EXPECT_EQ(findings.size(), 1U);
    for (const auto& finding : findings) EXPECT_FALSE(finding.what.empty());
    return findings.size() == 1 ? findings.front() : Finding{};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// It is the only one, this bad, and has these words in what it says and in what it advises.
inline void expect_one(const Findings& findings, Severity severity, const std::string& what,
                       const std::string& what_to_do) {
    const auto one = the_one(findings);
    EXPECT_EQ(name_of(one.severity), std::string(name_of(severity))) << one.what;
    EXPECT_TRUE(contains(one.what, what)) << one.what;
    EXPECT_TRUE(contains(one.what_to_do, what_to_do)) << one.what_to_do;
}

inline void expect_none(const Findings& findings) {
    for (const auto& finding : findings) ADD_FAILURE() << finding.what;
}

} // namespace shmbus::tools::doctor
