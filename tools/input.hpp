// stdin cut into events: all of it, a line each, or a frame each.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace shmbus::tools {

/// An event of the input is larger than allowed.
struct TooLarge {
    std::uint64_t bytes; ///< its size
    bool at_least;       ///< or more: the rest was not read
};

class Input {
  public:
    enum class Split {
        whole,  ///< one event: everything until the end
        lines,  ///< one a line, without its newline; what follows the last newline is a line too
        frames, ///< one a frame: 32-bit little-endian length, then as many bytes
    };
    /// Reads from `fd`, never more than it must to find the next event, which has at most
    /// `max_event` bytes.
    Input(int fd, Split split, std::uint64_t max_event) noexcept;

    /// The next event, valid until the next call; nothing at the end.
    /// @throws Failure(failed) on a read error and for a frame that the end cut off, TooLarge,
    /// Interrupted
    std::optional<std::string_view> next();

  private:
    std::optional<std::string_view> next_line();
    std::optional<std::string_view> next_frame();
    std::optional<std::string_view> whole();
    bool fill();
    [[nodiscard]] std::string_view unread() const noexcept {
        return {buffer_.data() + begin_, end_ - begin_};
    }
    std::string_view take(std::size_t size, std::size_t separator = 0) noexcept;

    int fd_;
    Split split_;
    std::uint64_t max_event_;
    bool at_end_ = false;
    std::vector<char> buffer_;
    std::size_t begin_ = 0; // what lies before has been handed out
    std::size_t end_ = 0;   // what lies behind has not been read
};

} // namespace shmbus::tools
