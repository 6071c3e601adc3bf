#include "support/temporary_directory.hpp"
#include "tools/doctor/socket.hpp"
#include "tools/doctor_fixture.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace shmbus::tools::doctor {
namespace {

using Kind = SocketFacts::Kind;

SocketFacts facts(Kind kind, int error) {
    return {.path = "/run/x.sock",
            .chosen_by = "--socket",
            .kind = kind,
            .mode = 0600,
            .owner = 4711,
            .error = error};
}

TEST(DoctorSocket, IsWell) { expect_none(findings_of(facts(Kind::socket, 0), "start it")); }

TEST(DoctorSocket, IsNotThere) {
    auto missing = facts(Kind::nothing, ENOENT);
    expect_one(findings_of(missing, "shmbusd &"), Severity::error,
               "there is no socket /run/x.sock (--socket)", "start one: shmbusd &");
    missing.whose = Whose::systems;
    missing.other_bus = "shmbus --user";
    expect_one(findings_of(missing, "shmbusd &"), Severity::error, "no daemon",
               "start one, as root: shmbusd &; or use the bus that is there: shmbus --user");
}

TEST(DoctorSocket, IsStale) {
    expect_one(findings_of(facts(Kind::socket, ECONNREFUSED), "shmbusd &"), Severity::error,
               "nobody listens at /run/x.sock (--socket)", "shmbusd &");
}

TEST(DoctorSocket, IsNone) {
    auto other = facts(Kind::other, ECONNREFUSED);
    const auto expect_kind = [&](mode_t mode, const std::string& kind) {
        other.mode = mode | 0666U;
        expect_one(findings_of(other, "shmbusd &"), Severity::error,
                   "/run/x.sock (--socket) is " + kind + ", and no socket",
                   "name another path, with --socket");
        EXPECT_FALSE(contains(the_one(findings_of(other, "")).what_to_do, "mv "));
    };
    expect_kind(S_IFREG, "a file");
    expect_kind(S_IFDIR, "a directory");
    expect_kind(S_IFCHR, "a device");
    expect_kind(S_IFIFO, "a pipe");
    other.whose = Whose::systems;
    expect_one(findings_of(other, "shmbusd &"), Severity::error, "is a pipe",
               "see whose it is: ls -ld /run/x.sock");
}

TEST(DoctorSocket, IsSomebodyElses) {
    expect_one(findings_of(facts(Kind::socket, EACCES), ""), Severity::error,
               "is user 4711's own (mode 0600)", "shmbusd --system");
    auto hidden = facts(Kind::nothing, EACCES);
    hidden.other_bus = "shmbus --system";
    expect_one(findings_of(hidden, ""), Severity::error, "may not enter the directory",
               "shmbus --system");
}

TEST(DoctorSocket, FailsInAnotherWay) {
    expect_one(findings_of(facts(Kind::socket, EPROTOTYPE), ""), Severity::error,
               std::strerror(EPROTOTYPE), "");
}

TEST(DoctorSocket, IsNotTheOneThatWasAskedFor) {
    auto overruled = facts(Kind::socket, 0);
    overruled.overruled = "--user";
    expect_one(findings_of(overruled, ""), Severity::warning, "--user counts for nothing",
               "unset SHMBUS_SOCKET");
}

TEST(DoctorSocket, CannotBeFound) {
    expect_one(findings_of({.path = "", .trouble = "no socket for the user bus; set it"}, ""),
               Severity::error, "no socket for the user bus", "set it");
    EXPECT_FALSE(look_at_socket({.socket = std::string(200, 'x')}).trouble.empty());
}

/// A socket at a path, that somebody listens at or not.
class Listener {
  public:
    explicit Listener(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener() { ::close(fd_); }
    void listen(int most) const { EXPECT_EQ(::listen(fd_, most), 0); }

  private:
    int fd_;
};

SocketFacts after_a_knock(const std::string& path) {
    auto socket = look_at_socket({.socket = path});
    EXPECT_FALSE(socket.is_listened_at());
    knock_at(socket);
    return socket;
}

TEST(DoctorSocket, IsLookedAt) {
    const test::TemporaryDirectory directory;
    const std::string path = directory.path() / "s";
    EXPECT_EQ(after_a_knock(path).kind, Kind::nothing);
    EXPECT_EQ(after_a_knock(path).error, ENOENT);
    const Listener listener(path);
    EXPECT_EQ(after_a_knock(path).kind, Kind::socket);
    EXPECT_EQ(after_a_knock(path).error, ECONNREFUSED);
    EXPECT_EQ(listener_at(path), 0U);
    listener.listen(8);
    EXPECT_TRUE(after_a_knock(path).is_listened_at());
    EXPECT_EQ(listener_at(path), static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(after_a_knock(path).chosen_by, "--socket");
}

TEST(DoctorSocket, OneWithAQueueIsListenedAt) {
    const test::TemporaryDirectory directory;
    const std::string path = directory.path() / "s";
    const Listener listener(path);
    listener.listen(0);
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(after_a_knock(path).is_listened_at());
}

TEST(DoctorSocket, IsNotJudgedByAConnectionThatWasNotTried) {
    auto facts = look_at_socket({.socket = "/nowhere/s"});
    expect_none(findings_of(facts, ""));
    knock_at(facts);
    expect_one(findings_of(facts, ""), Severity::error, "no daemon", "");
}

TEST(DoctorSocket, AFileIsNone) {
    const test::TemporaryDirectory directory;
    const std::string path = directory.path() / "s";
    std::ofstream(path) << "x";
    EXPECT_EQ(look_at_socket({.socket = path}).kind, Kind::other);
    expect_one(findings_of(after_a_knock("/dev/null"), ""), Severity::error, "is a device", "");
}

TEST(DoctorSocket, TheEnvironmentCountsMoreThanAScope) {
    ::setenv("SHMBUS_SOCKET", "/nowhere/s", 1);
    const auto facts = look_at_socket({.scope = BusOptions::Scope::system});
    ::unsetenv("SHMBUS_SOCKET");
    EXPECT_EQ(facts.overruled, "--system");
    EXPECT_EQ(facts.chosen_by, "$SHMBUS_SOCKET");
    const auto without = look_at_socket({.scope = BusOptions::Scope::system});
    EXPECT_EQ(without.overruled, "");
    EXPECT_EQ(without.whose, Whose::systems);
    EXPECT_EQ(without.chosen_by, "--system");
}

} // namespace
} // namespace shmbus::tools::doctor
