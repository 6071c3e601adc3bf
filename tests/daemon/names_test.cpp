// Names, correlation ids, the socket's path, and what the kernel says of a peer.
#include "base/peer.hpp"
#include "base/pidfd.hpp"
#include "base/socket_path.hpp"
#include "shmbus/error.hpp"
#include "shmbus/types.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace shmbus {
namespace {

using testing::HasSubstr;

TEST(Names, AreShortAndPlain) {
    for (const char* good : {"a", "0", "Orders.eu-west_1", "9-", "a..b"})
        EXPECT_TRUE(is_valid_name(good));
    for (const char* bad : {"", ".", "-a", "_a", "a b", "a/b", "ä", "a\n", "../x"})
        EXPECT_FALSE(is_valid_name(bad)) << bad;
    EXPECT_FALSE(is_valid_name(std::string_view("a\0b", 3)));
    EXPECT_TRUE(is_valid_name(std::string(128, 'x')));
    EXPECT_FALSE(is_valid_name(std::string(129, 'x')));
}

TEST(Names, OfCodesAreThoseOfTheEnumeration) {
    EXPECT_STREQ(name_of(Errc::bad_argument), "bad_argument");
    EXPECT_STREQ(name_of(Errc::system), "system");
    EXPECT_STREQ(name_of(static_cast<Errc>(99)), "unknown");
    EXPECT_STREQ(name_of(FullPolicy::drop_oldest), "drop-oldest");
    EXPECT_STREQ(name_of(GapReason::corrupt), "corrupt");
}

TEST(Correlation, RandomOnesDiffer) {
    EXPECT_NE(CorrelationId::random(), CorrelationId::random());
    EXPECT_FALSE(CorrelationId::random().empty());
}

TEST(Correlation, TextIsReadBack) {
    const auto id = CorrelationId::random();
    EXPECT_EQ(id.to_string().size(), 32U);
    EXPECT_EQ(CorrelationId::parse(id.to_string()), id);
    EXPECT_EQ(CorrelationId::parse("0AF7651916cd43dd8448eb211c80319c")->to_string(),
              "0af7651916cd43dd8448eb211c80319c");
    for (const char* bad :
         {"", "0", "0af7651916cd43dd8448eb211c80319", "0af7651916cd43dd8448eb211c80319c0",
          "0af7651916cd43dd8448eb211c80319g", "0x f7651916cd43dd8448eb211c80319"})
        EXPECT_EQ(CorrelationId::parse(bad), std::nullopt) << bad;
}

/// Sets a variable of the environment for a while; null: unsets it.
class Environment {
  public:
    Environment(const char* name, const char* value) : name_(name) {
        if (const char* before = std::getenv(name)) before_ = before;
        set(value);
    }
    ~Environment() { set(before_ ? before_->c_str() : nullptr); }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

  private:
    void set(const char* value) {
        if (value == nullptr)
            ::unsetenv(name_);
        else
            ::setenv(name_, value, 1);
    }
    const char* name_;
    std::optional<std::string> before_;
};

TEST(SocketPath, FollowsTheRule) {
    using base::BusScope;
    const Environment runtime("XDG_RUNTIME_DIR", "/run/user/7");
    {
        const Environment socket("SHMBUS_SOCKET", "/tmp/x");
        EXPECT_EQ(base::find_socket_path("/a", BusScope::user), "/a");
        EXPECT_EQ(base::find_socket_path("", BusScope::user), "/tmp/x");
    }
    const Environment socket("SHMBUS_SOCKET", nullptr);
    EXPECT_EQ(base::find_socket_path("", BusScope::user), "/run/user/7/shmbus.sock");
    EXPECT_EQ(base::find_socket_path("", BusScope::system), "/run/shmbus.sock");
    EXPECT_EQ(base::find_socket_path("", BusScope::automatic),
              ::geteuid() == 0 ? "/run/shmbus.sock" : "/run/user/7/shmbus.sock");
}

TEST(SocketPath, ThatCannotBeSaysWhatToSet) {
    const Environment socket("SHMBUS_SOCKET", nullptr);
    const Environment runtime("XDG_RUNTIME_DIR", nullptr);
    try {
        (void)base::find_socket_path("", base::BusScope::user);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::bad_argument);
        EXPECT_THAT(e.what(), HasSubstr("XDG_RUNTIME_DIR"));
    }
    EXPECT_NO_THROW(base::check_socket_path(std::string(107, 'p')));
    EXPECT_THROW(base::check_socket_path(std::string(108, 'p')), Error);
    EXPECT_THROW(base::check_socket_path(std::string("a\0b", 3)), Error);
}

struct Pair {
    base::Fd ours;
    base::Fd theirs;
};

Pair connected_pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return {base::Fd(fds[0]), base::Fd(fds[1])};
}

TEST(Peer, IsWhoTheKernelSays) {
    const auto pair = connected_pair();
    const auto peer = base::peer_of(pair.ours);
    EXPECT_EQ(peer.pid, ::getpid());
    EXPECT_EQ(peer.uid, ::geteuid());
    ASSERT_FALSE(peer.groups.empty());
    EXPECT_EQ(peer.groups.front(), ::getegid());
    EXPECT_THROW((void)base::peer_of(base::Fd(::dup(0))), Error);
    EXPECT_NE(base::command_of(::getpid()), "?");
    EXPECT_EQ(base::command_of(-1), "?");
}

bool is_readable(const base::Fd& fd, int timeout_ms) {
    pollfd state{.fd = fd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&state, 1, timeout_ms) == 1;
}

TEST(Pidfd, TellsOfTheDeathOfAChild) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    const auto pidfd = base::open_pidfd(child);
    ASSERT_TRUE(pidfd);
    EXPECT_FALSE(is_readable(pidfd, 0));
    ::kill(child, SIGKILL);
    EXPECT_TRUE(is_readable(pidfd, 30'000));
    ::waitpid(child, nullptr, 0);
    EXPECT_FALSE(base::open_pidfd(child)) << "its number was given to another already?";
}

TEST(Pidfd, OfAPeerIsThePeers) {
    const auto pair = connected_pair();
    const auto pidfd = base::pidfd_of_peer(pair.ours, ::getpid());
    ASSERT_TRUE(pidfd);
    EXPECT_FALSE(is_readable(pidfd, 0));
}

} // namespace
} // namespace shmbus
