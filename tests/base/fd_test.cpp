#include "base/fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>

namespace shmbus::base {
namespace {

int open_something() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1 || errno != EBADF; }

TEST(Fd, ClosesItself) {
    const int raw = open_something();
    {
        const Fd fd(raw);
        EXPECT_TRUE(fd);
        EXPECT_EQ(fd.get(), raw);
    }
    EXPECT_FALSE(is_open(raw));
}

TEST(Fd, EmptyIsNoDescriptor) {
    EXPECT_FALSE(Fd());
    EXPECT_EQ(Fd().get(), -1);
    EXPECT_TRUE(Fd(0).release() == 0) << "0 is one";
}

TEST(Fd, IsMovedNotCopied) {
    const int raw = open_something();
    Fd a(raw);
    Fd b(std::move(a));
    EXPECT_FALSE(a); // NOLINT(bugprone-use-after-move): empty, as promised
    EXPECT_EQ(b.get(), raw);
    const int other = open_something();
    {
        Fd c(other);
        c = std::move(b);
        EXPECT_EQ(c.get(), raw);
    }
    EXPECT_FALSE(is_open(raw));
    b = Fd();
    EXPECT_FALSE(is_open(other));
}

TEST(Fd, CanBeLetGo) {
    Fd fd(open_something());
    const int raw = fd.release();
    EXPECT_FALSE(fd);
    EXPECT_TRUE(is_open(raw));
    ::close(raw);
}

} // namespace
} // namespace shmbus::base
