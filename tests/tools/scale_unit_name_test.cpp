#include "tools/scale/unit_name.hpp"

#include "tools/failure.hpp"

#include <gtest/gtest.h>

namespace shmbus::tools::scale {
namespace {

TEST(UnitName, IsATemplates) {
    EXPECT_EQ(parse_template("order-processor@"), "order-processor@");
    EXPECT_EQ(parse_template("order-processor@.service"), "order-processor@");
    EXPECT_EQ(instance_of("order-processor@", 12), "order-processor@12.service");
}

TEST(UnitName, OfNoTemplateIsRefused) {
    for (const auto& bad :
         {std::string(), std::string("@"), std::string("a"), std::string("a.service"),
          std::string("a@1.service"), std::string("a@@"), std::string("a/b@"), std::string("a b@"),
          std::string("@.service"), std::string("a@.target"), std::string("\033[2J@"),
          std::string(240, 'a') + '@'}) {
        try {
            (void)parse_template(bad);
            ADD_FAILURE() << bad;
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), ExitCode::usage);
            EXPECT_EQ(std::string(failure.what()).find('\033'), std::string::npos);
        }
    }
}

} // namespace
} // namespace shmbus::tools::scale
