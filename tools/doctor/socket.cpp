#include "tools/doctor/socket.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace shmbus::tools::doctor {

namespace {

constexpr const char* check = "socket";

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

const char* flag_of(BusOptions::Scope scope) noexcept {
    switch (scope) {
    case BusOptions::Scope::automatic: break;
    case BusOptions::Scope::user: return "--user";
    case BusOptions::Scope::system: return "--system";
    }
    return "";
}

std::string reason_of(const BusOptions& options) {
    if (!options.socket.empty()) return "--socket";
    if (!environment("SHMBUS_SOCKET").empty()) return "$SHMBUS_SOCKET";
    if (options.scope != BusOptions::Scope::automatic) return flag_of(options.scope);
    return ::geteuid() == 0 ? "the system's bus, as you are root"
                            : "your own bus, as you are not root";
}

/// A scope's own socket; empty if it has none.
std::string path_of(BusOptions::Scope scope) {
    if (scope == BusOptions::Scope::system) return "/run/shmbus.sock";
    const auto directory = environment("XDG_RUNTIME_DIR");
    return directory.empty() ? "" : directory + "/shmbus.sock";
}

Whose whose_is(const std::string& path) {
    if (path == path_of(BusOptions::Scope::system)) return Whose::systems;
    return path == path_of(BusOptions::Scope::user) ? Whose::users : Whose::somebodys;
}

/// A connection to it, or -1 and errno. One that has to wait for its turn is one, too.
int connect_to(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
        errno == EAGAIN)
        return fd;
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
}

std::string other_bus_than(const std::string& path) {
    for (const auto scope : {BusOptions::Scope::system, BusOptions::Scope::user}) {
        const auto other = path_of(scope);
        struct stat status {};
        if (other.empty() || other == path || ::stat(other.c_str(), &status) != 0) continue;
        return environment("SHMBUS_SOCKET").empty() ? fmt::format("shmbus {}", flag_of(scope))
                                                    : "shmbus --socket " + quoted(other);
    }
    return {};
}

Findings nobody_there(const SocketFacts& facts, const std::string& how_to_start) {
    const auto remedy = fmt::format(
        "start one{}: {}{}", facts.whose == Whose::systems ? ", as root" : "", how_to_start,
        facts.other_bus.empty() ? "" : "; or use the bus that is there: " + facts.other_bus);
    if (facts.kind == SocketFacts::Kind::socket)
        return {
            {Severity::error, check,
             fmt::format("there is no daemon: nobody listens at {} ({}), which is what one that "
                         "was killed leaves behind",
                         facts.path, facts.chosen_by),
             remedy}};
    return {
        {Severity::error, check,
         fmt::format("there is no daemon: there is no socket {} ({})", facts.path, facts.chosen_by),
         remedy}};
}

Finding kept_out(const SocketFacts& facts) {
    const auto remedy = facts.other_bus.empty()
                            ? "a bus that others may use is that of: shmbusd --system"
                            : "use the bus that is there: " + facts.other_bus;
    if (facts.kind == SocketFacts::Kind::nothing)
        return {
            Severity::error, check,
            fmt::format("you may not enter the directory of {} (user {})", facts.path, ::geteuid()),
            remedy};
    return {Severity::error, check,
            fmt::format("{} is user {}'s own (mode {:04o}), and you are user {}", facts.path,
                        facts.owner, facts.mode & 07777U, ::geteuid()),
            remedy};
}

const char* kind_of(mode_t mode) noexcept {
    switch (mode & S_IFMT) {
    case S_IFREG: return "a file";
    case S_IFDIR: return "a directory";
    case S_IFCHR:
    case S_IFBLK: return "a device";
    case S_IFIFO: return "a pipe";
    default: return "something else";
    }
}

/// Whatever it is, it is nothing that a bus has left there, and somebody may need it.
Finding no_socket(const SocketFacts& facts) {
    return {Severity::error, check,
            fmt::format("{} ({}) is {}, and no socket", facts.path, facts.chosen_by,
                        kind_of(facts.mode)),
            facts.whose == Whose::somebodys
                ? "name another path, with --socket or $SHMBUS_SOCKET"
                : fmt::format("only a bus's socket belongs there: see whose it is: ls -ld {}; or "
                              "name another path, with --socket or $SHMBUS_SOCKET",
                              quoted(facts.path))};
}

Findings about_connecting(const SocketFacts& facts, const std::string& how_to_start) {
    if (facts.kind == SocketFacts::Kind::other) return {no_socket(facts)};
    if (!facts.error) return {};
    switch (*facts.error) {
    case 0: return {};
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED: return nobody_there(facts, how_to_start);
    case EACCES:
    case EPERM: return {kept_out(facts)};
    default:
        return {{Severity::error, check,
                 fmt::format("connecting to {}: {}", facts.path, std::strerror(*facts.error))}};
    }
}

} // namespace

SocketFacts look_at_socket(const BusOptions& options) {
    SocketFacts facts;
    try {
        facts.path = socket_path(options);
    } catch (const Error& error) {
        facts.trouble = error.what();
        return facts;
    }
    facts.chosen_by = reason_of(options);
    facts.whose = whose_is(facts.path);
    if (facts.chosen_by == "$SHMBUS_SOCKET" && path_of(options.scope) != facts.path)
        facts.overruled = flag_of(options.scope);
    struct stat status {};
    if (::stat(facts.path.c_str(), &status) == 0) {
        facts.kind =
            S_ISSOCK(status.st_mode) ? SocketFacts::Kind::socket : SocketFacts::Kind::other;
        facts.mode = status.st_mode;
        facts.owner = status.st_uid;
    }
    facts.other_bus = other_bus_than(facts.path);
    return facts;
}

void knock_at(SocketFacts& socket) {
    if (socket.path.empty()) return;
    const int fd = connect_to(socket.path);
    socket.error = fd < 0 ? errno : 0;
    if (fd >= 0) ::close(fd);
}

Findings findings_of(const SocketFacts& facts, const std::string& how_to_start) {
    if (facts.path.empty()) return {from_message(Severity::error, check, facts.trouble)};
    Findings findings = about_connecting(facts, how_to_start);
    if (!facts.overruled.empty())
        findings.push_back({Severity::warning, check,
                            fmt::format("{} counts for nothing, as $SHMBUS_SOCKET says {}",
                                        facts.overruled, facts.path),
                            "unset SHMBUS_SOCKET"});
    return findings;
}

std::uint32_t listener_at(const std::string& path) {
    const int fd = connect_to(path);
    if (fd < 0) return 0;
    ucred who{};
    socklen_t size = sizeof who;
    const int rc = ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size);
    ::close(fd);
    return rc == 0 && who.pid > 0 ? static_cast<std::uint32_t>(who.pid) : 0;
}

} // namespace shmbus::tools::doctor
