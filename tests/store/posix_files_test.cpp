// The real files: what they do, and that they say what went wrong where.
#include "daemon/store/files.hpp"
#include "support/temporary_directory.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace shmbus::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;
using Block = std::vector<std::byte>;

class PosixFilesTest : public testing::Test {
  protected:
    [[nodiscard]] std::string path_of(const std::string& name) const {
        return temporary.path() / name;
    }
    test::TemporaryDirectory temporary;
    std::unique_ptr<Directory> directory = open_directory(temporary.path());
};

template <class Action> int error_of(Action action) {
    try {
        action();
    } catch (const FileError& e) {
        return e.error();
    }
    return 0;
}

Block read(const File& file, std::size_t size, std::uint64_t offset) {
    Block block(size);
    block.resize(file.read_at(block, offset));
    return block;
}

TEST_F(PosixFilesTest, ReadWhatWasWritten) {
    const auto file = directory->create("a");
    const Block content(3'000'000, std::byte{7});
    file->write_at(content, 10);
    file->sync_data();
    EXPECT_EQ(file->size(), content.size() + 10);
    EXPECT_EQ(read(*file, content.size(), 10), content);
    EXPECT_EQ(read(*file, 11, 0), Block({{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, std::byte{7}}));
    EXPECT_EQ(read(*file, 100, file->size() - 3).size(), 3U);
    EXPECT_EQ(read(*directory->open("a", Directory::Access::read), content.size(), 10), content);
    file->truncate(5);
    EXPECT_EQ(file->size(), 5U);
}

TEST_F(PosixFilesTest, AllocateRoom) {
    const auto file = directory->create("a");
    ASSERT_TRUE(file->allocate(300'000));
    EXPECT_EQ(file->size(), 300'000U);
    EXPECT_EQ(read(*file, 300'000, 0), Block(300'000));
    struct stat status {};
    ASSERT_EQ(::stat(path_of("a").c_str(), &status), 0);
    EXPECT_GE(status.st_blocks * 512, 300'000);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

// On a file system in memory, which refuses at once what is more than all of it: a disk would first
// take what it has, from everybody else.
TEST(PosixFilesWithoutSpace, AllocateNothing) {
    const test::TemporaryDirectory temporary("/dev/shm");
    const auto file = open_directory(temporary.path())->create("a");
    ASSERT_FALSE(file->allocate(std::uint64_t{1} << 60U));
    EXPECT_EQ(file->size(), 0U);
    ASSERT_TRUE(file->allocate(4096));
    EXPECT_EQ(file->size(), 4096U);
}

TEST_F(PosixFilesTest, AreListedRenamedAndRemoved) {
    (void)directory->create("a");
    directory->create("b")->write_at(Block(3), 0);
    EXPECT_THAT(directory->list(), UnorderedElementsAre("a", "b"));
    EXPECT_THAT(directory->list(), UnorderedElementsAre("a", "b"));
    directory->rename("b", "a");
    directory->sync_directory();
    EXPECT_THAT(directory->list(), ElementsAre("a"));
    EXPECT_EQ(directory->open("a", Directory::Access::read)->size(), 3U);
    directory->remove("a");
    EXPECT_THAT(directory->list(), ElementsAre());
    EXPECT_GT(directory->free_bytes(), 0U);
}

TEST_F(PosixFilesTest, SayWhatWentWrongWhere) {
    EXPECT_EQ(error_of([&] { (void)directory->open("a", Directory::Access::read); }), ENOENT);
    EXPECT_EQ(error_of([&] { directory->remove("a"); }), ENOENT);
    EXPECT_EQ(error_of([&] { directory->rename("a", "b"); }), ENOENT);
    (void)directory->create("a");
    EXPECT_EQ(error_of([&] { (void)directory->create("a"); }), EEXIST);
    EXPECT_EQ(error_of([&] { (void)open_directory(path_of("a")); }), ENOTDIR);
    const auto file = directory->open("a", Directory::Access::read);
    EXPECT_EQ(error_of([&] { file->write_at(Block(1), 0); }), EBADF);
    try {
        (void)directory->create("a");
    } catch (const FileError& e) {
        EXPECT_EQ(e.path(), path_of("a"));
        EXPECT_EQ(e.what(), "making " + path_of("a") + ": File exists");
        EXPECT_EQ(e.code(), Errc::system);
    }
    EXPECT_EQ(FileError("x", "y", ENOSPC).code(), Errc::limit);
    EXPECT_TRUE(FileError("x", "y", ENOSPC).is_out_of_space());
    EXPECT_TRUE(FileError("x", "y", EDQUOT).is_out_of_space());
    EXPECT_FALSE(FileError("x", "y", EIO).is_out_of_space());
    EXPECT_EQ(FileError("x", "y", EROFS).code(), Errc::permission);
}

TEST_F(PosixFilesTest, FollowNoLinksAndTakeNoPipes) {
    ASSERT_EQ(::symlink("/etc/passwd", path_of("link").c_str()), 0);
    EXPECT_EQ(error_of([&] { (void)directory->open("link", Directory::Access::read); }), ELOOP);
    ASSERT_EQ(::mkfifo(path_of("pipe").c_str(), 0600), 0);
    try {
        (void)directory->open("pipe", Directory::Access::read);
        ADD_FAILURE() << "opened a pipe";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::damaged);
        EXPECT_THAT(e.what(), HasSubstr("pipe is no file"));
    }
}

TEST_F(PosixFilesTest, StayWhereTheyAreWhenTheirDirectoryMoves) {
    const std::string moved = temporary.path().string() + "-moved";
    ASSERT_EQ(::rename(temporary.path().c_str(), moved.c_str()), 0);
    (void)directory->create("a");
    EXPECT_THAT(directory->list(), ElementsAre("a"));
    ASSERT_EQ(::rename(moved.c_str(), temporary.path().c_str()), 0);
}

/// Lowers the largest size a file may have, which makes a write across it a short one.
class FileSizeLimit {
  public:
    explicit FileSizeLimit(rlim_t bytes) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limit{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        handler_ = std::signal(SIGXFSZ, SIG_IGN);
    }
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        (void)std::signal(SIGXFSZ, handler_);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;

  private:
    rlimit before_{};
    void (*handler_)(int) = nullptr;
};

TEST_F(PosixFilesTest, GoOnAfterAShortWriteAndReportItsReason) {
    const auto file = directory->create("a");
    const FileSizeLimit limit(10'000);
    EXPECT_EQ(error_of([&] { file->write_at(Block(20'000, std::byte{1}), 0); }), EFBIG);
    EXPECT_EQ(read(*file, 20'000, 0), Block(10'000, std::byte{1}));
}

} // namespace
} // namespace shmbus::store
