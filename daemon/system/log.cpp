#include "daemon/system/log.hpp"

#include "base/clock.hpp"

#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace shmbus::system {

namespace {

/// sd_journal's rule: JOURNAL_STREAM names stderr's device and inode, unless stderr was redirected.
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
    return stream == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

} // namespace

void log(Level level, std::string_view line) {
    static const bool journal = stderr_is_journal();
    std::string text = journal ? fmt::format("<{}>", static_cast<int>(level)) : "shmbusd: ";
    for (const char c : line) text += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    text += '\n';
    // One write a line. There is nobody to tell when it fails.
    while (::write(STDERR_FILENO, text.data(), text.size()) < 0 && errno == EINTR) {
    }
}

void ThrottledLog::log(Level level, std::string_view line) {
    constexpr std::uint64_t window_ns = 10'000'000'000;
    constexpr unsigned most = 20;
    const std::uint64_t now = base::monotonic_ns();
    if (now - window_began_ns_ >= window_ns) {
        if (left_out_ != 0)
            system::log(Level::notice, std::to_string(left_out_) + " lines like these left out");
        window_began_ns_ = now;
        lines_ = left_out_ = 0;
    }
    if (lines_ == most) {
        ++left_out_;
        return;
    }
    ++lines_;
    system::log(level, line);
}

} // namespace shmbus::system
