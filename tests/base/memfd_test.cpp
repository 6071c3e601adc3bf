// Sealed memory: what the kernel refuses from then on, and what is refused when it is handed over.
#include "base/memfd.hpp"

#include "shmbus/error.hpp"

#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace shmbus::base {
namespace {

constexpr std::uint64_t size = 5 * 4096;

struct stat status_of(const Fd& fd) {
    struct stat status {};
    EXPECT_EQ(::fstat(fd.get(), &status), 0);
    return status;
}

bool is_refused(const Fd& fd) {
    try {
        (void)sealed_size(fd, "the test's object");
        return false;
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::damaged);
        EXPECT_NE(std::string(e.what()).find("the test's object"), std::string::npos);
        return true;
    }
}

TEST(Memfd, HasTheSizeAndModeItShould) {
    const auto fd = make_memfd("test", size, 0);
    EXPECT_EQ(sealed_size(fd, "x"), size);
    EXPECT_EQ(status_of(fd).st_mode & 07777U, 0600U);
    EXPECT_TRUE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC);
}

TEST(Memfd, CannotBeResizedNorSealedFurther) {
    const auto fd = make_memfd("test", size, 0);
    EXPECT_EQ(::ftruncate(fd.get(), size - 1), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::ftruncate(fd.get(), size + 1), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
    EXPECT_EQ(errno, EPERM);
}

TEST(Memfd, AllocatesWhatItWasAskedToAndNoMore) {
    EXPECT_EQ(status_of(make_memfd("test", size, 0)).st_blocks, 0);
    EXPECT_EQ(status_of(make_memfd("test", size, 2 * 4096)).st_blocks, 2 * 4096 / 512);
}

TEST(Memfd, ReadOnlyTwinSharesTheMemoryAndCannotWrite) {
    const auto fd = make_memfd("test", size, 0);
    const auto twin = read_only_twin(fd);
    EXPECT_EQ(status_of(twin).st_ino, status_of(fd).st_ino);
    EXPECT_EQ(::pwrite(fd.get(), "x", 1, 100), 1);
    char read = 0;
    EXPECT_EQ(::pread(twin.get(), &read, 1, 100), 1);
    EXPECT_EQ(read, 'x');
    EXPECT_EQ(::pwrite(twin.get(), "y", 1, 100), -1);
    EXPECT_EQ(::mmap(nullptr, size, PROT_WRITE, MAP_SHARED, twin.get(), 0), MAP_FAILED);
    EXPECT_EQ(sealed_size(twin, "x"), size);
    EXPECT_TRUE(::fcntl(twin.get(), F_GETFD) & FD_CLOEXEC);
}

TEST(Memfd, OthersDescriptorsAreRefusedUnlessSealedAlike) {
    EXPECT_TRUE(is_refused(Fd()));
    EXPECT_TRUE(is_refused(Fd(::open("/dev/zero", O_RDWR | O_CLOEXEC))));
    const auto unsealed = [](int seals) {
        Fd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
        return fd;
    };
    EXPECT_TRUE(is_refused(unsealed(0)));
    EXPECT_TRUE(is_refused(unsealed(F_SEAL_SHRINK | F_SEAL_GROW)));
    EXPECT_TRUE(is_refused(unsealed(F_SEAL_GROW | F_SEAL_SEAL)));
    EXPECT_TRUE(is_refused(unsealed(F_SEAL_SHRINK | F_SEAL_SEAL)));
    EXPECT_FALSE(is_refused(unsealed(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)));
}

TEST(Memfd, RunningOutOfDescriptorsIsALimit) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 0;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    std::optional<Errc> code;
    try {
        (void)make_memfd("test", size, 0);
    } catch (const Error& e) {
        code = e.code();
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(code, Errc::limit);
}

} // namespace
} // namespace shmbus::base
