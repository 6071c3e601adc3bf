#include "daemon/system/log.hpp"

#include "base/clock.hpp"
#include "daemon/system/unit.hpp"

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fmt/format.h>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>
#include <vector>

namespace shmbus::system {

namespace {

/// sd-daemon's rule: JOURNAL_STREAM names stderr's device and inode, unless stderr was redirected. Without its
/// socket sd_journal_sendv() would drop messages in silence.
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
    return stream == fmt::format("{}:{}", status.st_dev, status.st_ino) &&
           ::access("/run/systemd/journal/socket", F_OK) == 0;
}

using Fields = std::vector<std::string>; // NAME=VALUE

void add_about(Fields& fields, const About& about) {
    if (!about.topic.empty()) fields.push_back(fmt::format("SHMBUS_TOPIC={}", about.topic));
    if (!about.subscription.empty())
        fields.push_back(fmt::format("SHMBUS_SUBSCRIPTION={}", about.subscription));
    if (about.sequence != 0) fields.push_back(fmt::format("SHMBUS_SEQ={}", about.sequence));
    if (about.pid == 0) return;
    fields.push_back(fmt::format("SHMBUS_PEER_PID={}", about.pid));
    fields.push_back(fmt::format("SHMBUS_PEER_UID={}", about.uid));
    if (auto unit = unit_of(static_cast<pid_t>(about.pid)); !unit.empty())
        fields.push_back("SHMBUS_PEER_UNIT=" + unit);
}

bool send_to_journal(Fields& fields) {
    std::vector<iovec> parts;
    for (auto& field : fields) parts.push_back({field.data(), field.size()});
    return ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) >= 0;
}

/// One write a line, which does not wait for who reads it: there is room for PIPE_BUF bytes of a pipe, or none.
void write_to_stderr(std::string line) {
    static std::atomic<unsigned> left_out{0};
    pollfd room{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) {
        left_out.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    if (const unsigned count = left_out.exchange(0, std::memory_order_relaxed); count != 0)
        line.insert(0, fmt::format("shmbusd: {} lines left out, as nobody read them\n", count));
    if (line.size() > PIPE_BUF) {
        line.resize(PIPE_BUF);
        line.back() = '\n';
    }
    // There is nobody to tell when it fails.
    while (::write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {
    }
}

void write(Level level, const Message* message, const About& about, std::string_view line) {
    static const bool journal = stderr_is_journal();
    std::string text;
    for (const char c : line) text += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    const auto priority = static_cast<int>(level);
    if (journal) {
        Fields fields{fmt::format("PRIORITY={}", priority), "MESSAGE=" + text};
        if (message != nullptr) fields.push_back(fmt::format("MESSAGE_ID={}", message->id));
        add_about(fields, about);
        if (send_to_journal(fields)) return;
    }
    write_to_stderr((journal ? fmt::format("<{}>", priority) : "shmbusd: ") + text + '\n');
}

} // namespace

void log(Level level, std::string_view line) { write(level, nullptr, {}, line); }

void log(const Message& message, const About& about, std::string_view line) {
    write(message.level, &message, about, line);
}

void ThrottledLog::log(Level level, std::string_view line) {
    if (has_room()) system::log(level, line);
}

void ThrottledLog::log(const Message& message, const About& about, std::string_view line) {
    if (has_room()) system::log(message, about, line);
}

bool ThrottledLog::has_room() {
    constexpr std::uint64_t window_ns = 10'000'000'000;
    constexpr unsigned most = 20;
    const std::uint64_t now = base::monotonic_ns();
    if (now - window_began_ns_ >= window_ns) {
        if (left_out_ != 0)
            system::log(Level::notice, std::to_string(left_out_) + " lines like these left out");
        window_began_ns_ = now;
        lines_ = left_out_ = 0;
    }
    const bool room = lines_ < most;
    ++(room ? lines_ : left_out_);
    return room;
}

} // namespace shmbus::system
