#include "daemon/system/listener.hpp"

#include "daemon/refusal.hpp"
#include "support/daemon_process.hpp"

#include <fcntl.h>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace shmbus::system {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class ListenerTest : public testing::Test {
  protected:
    [[nodiscard]] mode_t mode() const {
        struct stat status {};
        EXPECT_EQ(::lstat(path.c_str(), &status), 0);
        return status.st_mode & 07777U;
    }
    [[nodiscard]] bool connects() const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        const base::Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        return ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address),
                         sizeof address) == 0;
    }
    static base::Fd socket_at(const std::string& at) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        at.copy(address.sun_path, sizeof address.sun_path - 1);
        base::Fd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
        return made;
    }
    static test::Refusal refusal(const std::string& at) {
        return test::refusal([&] { const Listener listener(at, 0600); });
    }
    const test::TemporaryDirectory directory;
    const std::string path = (directory.path() / "bus.sock").string();
};

TEST_F(ListenerTest, HasItsModeWhateverTheUmask) {
    for (const mode_t umask : {0000U, 0022U, 0077U, 0777U})
        for (const mode_t wanted : {0600U, 0666U}) {
            const mode_t before = ::umask(umask);
            const Listener listener(path, wanted);
            EXPECT_EQ(::umask(before), umask);
            EXPECT_EQ(mode(), wanted);
            EXPECT_TRUE(connects());
        }
}

TEST_F(ListenerTest, LeavesNothingBehind) {
    { const Listener listener(path, 0600); }
    EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST_F(ListenerTest, RefusesAPathInUse) {
    const Listener first(path, 0600);
    const auto refused = refusal(path);
    EXPECT_EQ(refused.code, Errc::busy);
    EXPECT_THAT(refused.message, HasSubstr(path));
    EXPECT_TRUE(connects()) << "the first one is none the worse";
}

TEST_F(ListenerTest, RefusesAPathWhereAnotherProgramListens) {
    {
        const Listener first(path, 0600);
        fs::remove(path + ".lock");
        EXPECT_EQ(refusal(path).code, Errc::busy);
        EXPECT_TRUE(connects());
    }
}

TEST_F(ListenerTest, ReplacesASocketThatNobodyListensAt) {
    {
        const Listener dead(path, 0600);
        fs::create_hard_link(path, path + ".kept");
    }
    fs::rename(path + ".kept", path);
    EXPECT_FALSE(connects());
    const Listener listener(path, 0600);
    EXPECT_TRUE(connects());
}

TEST_F(ListenerTest, NeverRemovesWhatIsNoSocket) {
    std::ofstream(path) << "precious";
    const auto refused = refusal(path);
    EXPECT_EQ(refused.code, Errc::bad_argument);
    EXPECT_THAT(refused.message, HasSubstr("is no socket"));
    EXPECT_EQ(fs::file_size(path), 8U);
    fs::remove(path);
    fs::create_directory(path);
    EXPECT_EQ(refusal(path).code, Errc::bad_argument);
    fs::remove(path);
    fs::create_symlink("elsewhere", path);
    EXPECT_EQ(refusal(path).code, Errc::bad_argument);
    EXPECT_TRUE(fs::is_symlink(path));
    EXPECT_FALSE(fs::exists(path + ".lock"));
}

TEST_F(ListenerTest, DoesNotRemoveWhatTookItsPlace) {
    {
        const Listener listener(path, 0600);
        fs::remove(path);
        std::ofstream(path) << "precious";
    }
    EXPECT_TRUE(fs::exists(path));
}

TEST_F(ListenerTest, TakesWhatSystemdMadeAndLeavesItThere) {
    const auto made = socket_at(path);
    ASSERT_EQ(::listen(made.get(), 1), 0);
    for (int life = 0; life < 2; ++life) {
        const auto listener =
            Listener::activated(path, base::Fd(::fcntl(made.get(), F_DUPFD_CLOEXEC, 3)));
        EXPECT_TRUE(listener.is_activated());
        EXPECT_FALSE(fs::exists(path + ".lock"));
        EXPECT_TRUE(connects());
        EXPECT_EQ(::fcntl(listener.fd().get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    }
    EXPECT_TRUE(connects());
    EXPECT_EQ(refusal(path).code, Errc::busy);
}

TEST_F(ListenerTest, RefusesASocketThatIsNotAtItsPath) {
    const auto refused =
        test::refusal([&] { (void)Listener::activated(path, socket_at(path + ".elsewhere")); });
    EXPECT_EQ(refused.code, Errc::bad_argument);
    EXPECT_THAT(refused.message, HasSubstr("let ListenStream= of its unit"));
}

TEST_F(ListenerTest, RefusesImpossiblePaths) {
    const auto refused = refusal(std::string(200, 'x'));
    EXPECT_EQ(refused.code, Errc::bad_argument);
    EXPECT_THAT(refused.message, HasSubstr("at most 107 bytes"));
    EXPECT_EQ(refusal("").code, Errc::bad_argument);
    const auto nowhere = refusal((directory.path() / "no" / "such").string());
    EXPECT_EQ(nowhere.code, Errc::bad_argument);
    EXPECT_THAT(nowhere.message, HasSubstr("make it, or choose another --socket"));
}

TEST_F(ListenerTest, LocksNoSymlink) {
    fs::create_symlink(directory.path() / "target", path + ".lock");
    EXPECT_EQ(refusal(path).code, Errc::system);
    EXPECT_FALSE(fs::exists(directory.path() / "target"));
}

} // namespace
} // namespace shmbus::system
