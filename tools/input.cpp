#include "tools/input.hpp"

#include "tools/failure.hpp"
#include "tools/interrupt.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

namespace shmbus::tools {

namespace {

constexpr std::size_t block = 262'144;
constexpr std::size_t length_bytes = 4;

std::uint32_t little_endian(std::string_view bytes) noexcept {
    std::uint32_t value = 0;
    for (std::size_t i = length_bytes; i-- > 0;)
        value = value << 8U | static_cast<unsigned char>(bytes[i]);
    return value;
}

} // namespace

Input::Input(int fd, Split split, std::uint64_t max_event) noexcept
    : fd_(fd), split_(split), max_event_(max_event) {}

std::optional<std::string_view> Input::next() {
    switch (split_) {
    case Split::whole: return whole();
    case Split::lines: return next_line();
    case Split::frames: return next_frame();
    }
    return {};
}

std::optional<std::string_view> Input::next_line() {
    std::size_t looked_at = 0;
    while (true) {
        const std::string_view text = unread();
        const std::size_t newline = text.find('\n', looked_at);
        const std::size_t length = std::min(newline, text.size());
        if (length > max_event_)
            throw TooLarge{.bytes = length, .at_least = newline == std::string_view::npos};
        if (newline != std::string_view::npos) return take(length, 1);
        looked_at = length;
        if (fill()) continue;
        if (length == 0) return {};
        return take(length);
    }
}

std::optional<std::string_view> Input::next_frame() {
    const auto have = [this](std::size_t bytes) {
        while (unread().size() < bytes)
            if (!fill()) return false;
        return true;
    };
    if (!have(length_bytes)) {
        if (unread().empty()) return {};
        throw Failure(ExitCode::failed, fmt::format("the input ends inside the length of a frame: "
                                                    "{} of {} bytes",
                                                    unread().size(), length_bytes));
    }
    const std::uint32_t length = little_endian(unread());
    if (length > max_event_) throw TooLarge{.bytes = length, .at_least = false};
    if (!have(length_bytes + length))
        throw Failure(ExitCode::failed, fmt::format("the input ends inside a frame: {} of {} bytes",
                                                    unread().size() - length_bytes, length));
    begin_ += length_bytes;
    return take(length);
}

std::optional<std::string_view> Input::whole() {
    if (at_end_) return {};
    while (fill())
        if (unread().size() > max_event_)
            throw TooLarge{.bytes = unread().size(), .at_least = true};
    return take(unread().size());
}

// Reads once. false at the end.
bool Input::fill() {
    if (at_end_) return false;
    if (begin_ > 0) { // what is left of a block is short
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() - end_ < block) buffer_.resize(std::max(2 * buffer_.size(), end_ + block));
    ssize_t count = -1;
    do { // NOLINT(cppcoreguidelines-avoid-do-while): a read comes first
        wait_readable(fd_);
        count = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
    } while (count < 0 && (errno == EINTR || errno == EAGAIN));
    if (count < 0)
        throw Failure(ExitCode::failed, fmt::format("reading stdin: {}", std::strerror(errno)));
    end_ += static_cast<std::size_t>(count);
    at_end_ = count == 0;
    return !at_end_;
}

std::string_view Input::take(std::size_t size, std::size_t separator) noexcept {
    const std::string_view event = unread().substr(0, size);
    begin_ += size + separator;
    return event;
}

} // namespace shmbus::tools
