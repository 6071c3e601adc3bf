// Where a bus's socket is, and what is said when no rule gives one.
#include "base/socket_path.hpp"

#include "shmbus/error.hpp"

#include <cstdlib>
#include <gtest/gtest.h>
#include <unistd.h>

namespace shmbus::base {
namespace {

/// Sets the environment for one test.
class SocketPath : public testing::Test {
  protected:
    void SetUp() override {
        ::unsetenv("SHMBUS_SOCKET");
        ::setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    }
    static std::string error_of(const std::string& given, BusScope scope) {
        try {
            return "found " + find_socket_path(given, scope);
        } catch (const Error& e) {
            EXPECT_EQ(e.code(), Errc::bad_argument);
            return e.what();
        }
    }
};

TEST_F(SocketPath, GivenComesFirstThenTheEnvironmentThenTheScope) {
    EXPECT_EQ(find_socket_path("", BusScope::user), "/run/user/7/shmbus.sock");
    EXPECT_EQ(find_socket_path("", BusScope::system), "/run/shmbus.sock");
    ::setenv("SHMBUS_SOCKET", "/a/b.sock", 1);
    EXPECT_EQ(find_socket_path("", BusScope::user), "/a/b.sock");
    EXPECT_EQ(find_socket_path("/c.sock", BusScope::system), "/c.sock");
}

TEST_F(SocketPath, IsTheSystemsForRootAndTheUsersForOthers) {
    EXPECT_EQ(find_socket_path("", BusScope::automatic),
              ::geteuid() == 0 ? "/run/shmbus.sock" : "/run/user/7/shmbus.sock");
}

TEST_F(SocketPath, AnEmptyEnvironmentCountsAsNone) {
    ::setenv("SHMBUS_SOCKET", "", 1);
    EXPECT_EQ(find_socket_path("", BusScope::system), "/run/shmbus.sock");
}

TEST_F(SocketPath, SaysWhatToSetWhenNoRuleGivesOne) {
    ::unsetenv("XDG_RUNTIME_DIR");
    const auto error = error_of("", BusScope::user);
    EXPECT_NE(error.find("XDG_RUNTIME_DIR"), std::string::npos) << error;
    EXPECT_NE(error.find("SHMBUS_SOCKET"), std::string::npos) << error;
}

TEST_F(SocketPath, FitsTheAddressOfASocket) {
    EXPECT_NO_THROW(check_socket_path(std::string(107, 'x')));
    EXPECT_NE(error_of(std::string(108, 'x'), BusScope::user).find("107"), std::string::npos);
    EXPECT_THROW(check_socket_path(""), Error);
    EXPECT_THROW(check_socket_path(std::string("a\0b", 3)), Error);
}

} // namespace
} // namespace shmbus::base
