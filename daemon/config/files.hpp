// Where the configuration is, and reading it from there.
#pragma once

#include "base/socket_path.hpp"
#include "daemon/config/settings.hpp"

namespace shmbus::config {

struct Source {
    std::string file;        // empty: there is none. FILE.d/*.conf count, too
    bool must_exist = false; // somebody asked for it
};

/// `given` (--config) if not empty. Else, where nobody says at which socket the bus is (`socket` is empty),
/// /etc/shmbus/shmbusd.conf for the system's bus, shmbus/shmbusd.conf in $XDG_CONFIG_HOME or ~/.config for the
/// user's; the same for a socket that is theirs; none for another.
[[nodiscard]] Source find_source(const std::string& given, const std::string& socket,
                                 base::BusScope scope);

/// The file, if it is there, and then its drop-ins in the order of their names.
/// @throws Error: bad_argument, permission, system
[[nodiscard]] std::vector<File> read_files(const Source& source);

[[nodiscard]] inline Settings load(const Source& source) {
    return read_settings(read_files(source));
}

} // namespace shmbus::config
