#include "daemon/system/state_path.hpp"

#include "base/socket_path.hpp"
#include "shmbus/error.hpp"

#include <cstdlib>

namespace shmbus::system {

namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

bool is_users(const std::string& socket) {
    const auto directory = environment("XDG_RUNTIME_DIR");
    return !directory.empty() && socket == base::user_socket_in(directory);
}

std::string users_directory() {
    if (auto home = environment("XDG_STATE_HOME"); !home.empty()) return home + "/shmbus";
    if (auto home = environment("HOME"); !home.empty()) return home + "/.local/state/shmbus";
    throw Error(Errc::bad_argument, "no directory for topics on disk: neither XDG_STATE_HOME nor "
                                    "HOME is set; set one, or give --state-dir DIR");
}

} // namespace

std::string find_state_path(const std::string& given, const std::string& configured,
                            const std::string& socket) {
    if (!given.empty()) return given;
    if (auto path = environment("STATE_DIRECTORY"); !path.empty())
        return path.substr(0, path.find(':')); // a unit may have several: the first is ours
    if (!configured.empty()) return configured;
    if (socket == base::system_socket) return "/var/lib/shmbus";
    return is_users(socket) ? users_directory() : socket + ".state";
}

} // namespace shmbus::system
