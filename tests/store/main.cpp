#include "form.hpp"

#include <gtest/gtest.h>
#include <string_view>

namespace {
bool is_long = false;
}

bool shmbus::test::long_form() { return is_long; }

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    for (int i = 1; i < argc; ++i) is_long = is_long || std::string_view(argv[i]) == "--long";
    return RUN_ALL_TESTS();
}
