#include "base/socket_path.hpp"

#include "shmbus/error.hpp"

#include <cstdlib>
#include <sys/un.h>
#include <unistd.h>

namespace shmbus::base {

namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::string user_socket() {
    const std::string directory = environment("XDG_RUNTIME_DIR");
    if (directory.empty())
        throw Error(Errc::bad_argument,
                    "no socket for the user bus: XDG_RUNTIME_DIR is not set; set it, set "
                    "SHMBUS_SOCKET, or give --socket PATH");
    return user_socket_in(directory);
}

std::string by_rule(const std::string& given, BusScope scope) {
    if (auto path = chosen_socket(given); !path.empty()) return path;
    return is_system(scope) ? system_socket : user_socket();
}

} // namespace

bool is_system(BusScope scope) noexcept {
    return scope == BusScope::automatic ? ::geteuid() == 0 : scope == BusScope::system;
}

std::string chosen_socket(const std::string& given) {
    return given.empty() ? environment("SHMBUS_SOCKET") : given;
}

std::string find_socket_path(const std::string& given, BusScope scope) {
    std::string path = by_rule(given, scope);
    check_socket_path(path);
    return path;
}

void check_socket_path(const std::string& path) {
    constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
    if (path.empty()) throw Error(Errc::bad_argument, "the path of a socket cannot be empty");
    if (path.size() > longest)
        throw Error(Errc::bad_argument, "the path of a socket has at most " +
                                            std::to_string(longest) + " bytes, not " +
                                            std::to_string(path.size()) + ": " + path);
    if (path.find('\0') != std::string::npos)
        throw Error(Errc::bad_argument, "the path of a socket cannot contain a null byte");
}

} // namespace shmbus::base
