// main() of the tests of a folder, which are one program: with --file=NAME those of NAME_test.cpp alone.
#include "form.hpp"

#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace {

bool is_long = false;

/// A filter for gtest, of the tests in this file; empty when there are none.
std::string tests_of(const std::string& file) {
    const std::string ending = "/" + file + "_test.cpp";
    const auto& all = *testing::UnitTest::GetInstance();
    std::string filter;
    for (int s = 0; s < all.total_test_suite_count(); ++s) {
        const auto& suite = *all.GetTestSuite(s);
        for (int t = 0; t < suite.total_test_count(); ++t) {
            const auto& test = *suite.GetTestInfo(t);
            if (std::string_view(test.file()).ends_with(ending))
                filter += std::string(suite.name()) + '.' + test.name() + ':';
        }
    }
    return filter;
}

} // namespace

bool shmbus::test::long_form() { return is_long; }

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    for (int i = 1; i < argc; ++i) {
        const std::string_view arg = argv[i];
        if (arg == "--long") {
            is_long = true;
        } else if (arg.starts_with("--file=")) {
            const auto filter = tests_of(std::string(arg.substr(7)));
            if (filter.empty()) {
                std::fprintf(stderr, "there are no tests in a file of that name: %s\n", argv[i]);
                return 2;
            }
            if (GTEST_FLAG_GET(filter) == "*") GTEST_FLAG_SET(filter, filter);
        } else {
            std::fprintf(stderr, "usage: %s [--file=NAME] [--long] [--gtest_…]\n", argv[0]);
            return 2;
        }
    }
    return RUN_ALL_TESTS();
}
