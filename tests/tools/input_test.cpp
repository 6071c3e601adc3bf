#include "tools/failure.hpp"
#include "tools/input.hpp"
#include "tools/interrupt.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace shmbus::tools {
namespace {

using namespace std::string_literals;

/// A file that holds a text, at its beginning.
class File {
  public:
    explicit File(const std::string& text) : fd_(::memfd_create("input", MFD_CLOEXEC)) {
        EXPECT_EQ(::write(fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        ::lseek(fd_, 0, SEEK_SET);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { ::close(fd_); }
    [[nodiscard]] int fd() const { return fd_; }

  private:
    int fd_;
};

// All events of a text, and at the end the trouble, if there was one.
std::vector<std::string> events(const std::string& text, Input::Split split,
                                std::uint64_t max_event = 1000) {
    const File file(text);
    Input input(file.fd(), split, max_event);
    std::vector<std::string> all;
    try {
        while (const auto event = input.next()) all.emplace_back(*event);
    } catch (const TooLarge& event) {
        all.push_back("too large: "s + (event.at_least ? "at least " : "") +
                      std::to_string(event.bytes));
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), ExitCode::failed);
        all.emplace_back(failure.what());
    }
    return all;
}

using Events = std::vector<std::string>;

TEST(Input, AllOfItIsOneEvent) {
    EXPECT_EQ(events("a\nb\0c"s, Input::Split::whole), (Events{"a\nb\0c"s}));
    EXPECT_EQ(events("", Input::Split::whole), (Events{""}));
    EXPECT_EQ(events("abcd", Input::Split::whole, 4), (Events{"abcd"}));
    EXPECT_EQ(events("abcde", Input::Split::whole, 4), (Events{"too large: at least 5"}));
}

TEST(Input, LinesLoseTheirNewline) {
    EXPECT_EQ(events("a\n\nb\n", Input::Split::lines), (Events{"a", "", "b"}));
    EXPECT_EQ(events("a\nb", Input::Split::lines), (Events{"a", "b"}));
    EXPECT_EQ(events("", Input::Split::lines), (Events{}));
    EXPECT_EQ(events("\n", Input::Split::lines), (Events{""}));
    EXPECT_EQ(events("a\r\n\xff\n", Input::Split::lines), (Events{"a\r", "\xff"}));
}

TEST(Input, ALineMayBeAsLongAsAnEvent) {
    EXPECT_EQ(events("abcd\nab\nabcd", Input::Split::lines, 4), (Events{"abcd", "ab", "abcd"}));
    EXPECT_EQ(events("ab\nabcde\nab", Input::Split::lines, 4), (Events{"ab", "too large: 5"}));
    EXPECT_EQ(events("ab\nabcde", Input::Split::lines, 4), (Events{"ab", "too large: at least 5"}));
}

TEST(Input, FramesSayHowLongTheyAre) {
    EXPECT_EQ(events("\2\0\0\0ab\0\0\0\0\1\0\0\0c"s, Input::Split::frames),
              (Events{"ab", "", "c"}));
    EXPECT_EQ(events("", Input::Split::frames), (Events{}));
    EXPECT_EQ(events("\1\0\0\0a\5\0\0\0ab"s, Input::Split::frames),
              (Events{"a", "the input ends inside a frame: 2 of 5 bytes"}));
    EXPECT_EQ(events("\1\0\0\0a\1\0"s, Input::Split::frames),
              (Events{"a", "the input ends inside the length of a frame: 2 of 4 bytes"}));
    EXPECT_EQ(events("\1\0\0\0a\xff\xff\xff\xff"s, Input::Split::frames),
              (Events{"a", "too large: 4294967295"}));
}

TEST(Input, CrossesTheBlocksItReads) {
    std::string text;
    Events expected;
    for (std::size_t i = 0; i < 300; ++i) { // 3 MiB together
        expected.emplace_back(i * 71 % 20'000, static_cast<char>('a' + i % 26));
        text += expected.back() + '\n';
    }
    EXPECT_EQ(events(text, Input::Split::lines, 20'000), expected);
    const std::string large(5'000'000, 'x');
    EXPECT_EQ(events(large, Input::Split::whole, large.size()), (Events{large}));
    EXPECT_EQ(events(large, Input::Split::lines, large.size()), (Events{large}));
}

TEST(Input, GivesALineAsSoonAsItIsThere) {
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    Input input(fds[0], Input::Split::lines, 100);
    ASSERT_EQ(::write(fds[1], "first\nsec", 9), 9);
    EXPECT_EQ(input.next(), "first"); // and does not wait for the rest of the second
    ASSERT_EQ(::write(fds[1], "ond\n", 4), 4);
    EXPECT_EQ(input.next(), "second");
    ::close(fds[1]);
    EXPECT_EQ(input.next(), std::nullopt);
    EXPECT_EQ(input.next(), std::nullopt);
    ::close(fds[0]);
}

TEST(Input, SaysWhenItCannotRead) {
    const int fd = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    Input input(fd, Input::Split::lines, 100);
    EXPECT_THROW(input.next(), Failure);
    ::close(fd);
}

} // namespace
} // namespace shmbus::tools
