#include "daemon/activation/helper.hpp"

#include "base/fd.hpp"
#include "base/system_error.hpp"
#include "shmbus/error.hpp"
#include "shmbus/types.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace shmbus::activation {

namespace {

constexpr std::size_t max_request_bytes = 2 * max_name_bytes + 2;
constexpr std::size_t max_answer_bytes = 4096;
constexpr timeval patience{.tv_sec = 10, .tv_usec = 0};

/// Up to the end, or to the first newline if a line is all that comes. @throws Error(system)
std::string read_all(int fd, std::size_t most, bool line) {
    std::string text;
    std::array<char, 512> part{};
    while (text.size() < most && !(line && text.ends_with('\n'))) {
        const auto size = ::read(fd, part.data(), std::min(part.size(), most - text.size()));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) base::throw_system("reading");
        if (size == 0) break;
        text.append(part.data(), static_cast<std::size_t>(size));
    }
    return text;
}

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto size = ::write(fd, text.data(), text.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) base::throw_system("writing");
        text.remove_prefix(static_cast<std::size_t>(size));
    }
}

base::Fd connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) base::throw_system("connecting", ENAMETOOLONG);
    std::memcpy(address.sun_path, path.data(), path.size());
    base::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) base::throw_system("socket");
    for (const int way : {SO_RCVTIMEO, SO_SNDTIMEO}) // the latter is connect()'s, too
        ::setsockopt(socket.get(), SOL_SOCKET, way, &patience, sizeof patience);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        base::throw_system("connecting");
    return socket;
}

} // namespace

bool is_helped(const std::string& socket) noexcept {
    return ::access(socket.c_str(), R_OK | W_OK) == 0;
}

Outcome ask_helper(const std::string& socket, const Of& of) noexcept {
    try {
        const auto helper = connect(socket);
        write_all(helper.get(), fmt::format("{}/{}\n", of.topic, of.subscription));
        const auto text = read_all(helper.get(), max_answer_bytes, false);
        const auto first = text.find('\n');
        const auto second = first == std::string::npos ? first : text.find('\n', first + 1);
        if (second == std::string::npos)
            return {.problem = "shmbusd-activate has not answered; see journalctl -u "
                               "'shmbusd-activate@*'"};
        return {.state = text.substr(0, first),
                .problem = text.substr(first + 1, second - first - 1)};
    } catch (const std::exception& e) {
        return {.problem = fmt::format("asking at {}: {}", socket, e.what())};
    }
}

int answer(int in, int out, const std::function<Outcome(const Of&)>& start) {
    ::signal(SIGPIPE, SIG_IGN); // who asked may have gone
    auto request = read_all(in, max_request_bytes, true);
    if (request.ends_with('\n')) request.pop_back();
    const auto of = parse_of(request);
    const auto outcome = of ? start(*of) : Outcome{.problem = "this is no TOPIC/NAME"};
    const auto line = [](std::string text) {
        std::replace(text.begin(), text.end(), '\n', ' ');
        return text + '\n';
    };
    write_all(out, line(outcome.state) + line(outcome.problem));
    return 0;
}

std::optional<Of> parse_of(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto topic = text.substr(0, slash);
    const auto name = text.substr(slash + 1);
    if (!is_valid_name(topic) || !is_valid_name(name)) return std::nullopt;
    return Of{std::string(topic), std::string(name)};
}

} // namespace shmbus::activation
