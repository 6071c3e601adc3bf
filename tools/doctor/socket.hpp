// The way to the daemon: which socket, why that one, and whether somebody listens.
#pragma once

#include "tools/doctor/finding.hpp"

#include <shmbus/bus.hpp>

#include <optional>
#include <sys/types.h>

namespace shmbus::tools::doctor {

/// Who a bus is for, by where its socket is.
enum class Whose : std::uint8_t { systems, users, somebodys };

struct SocketFacts {
    std::string path;           ///< empty: there is none to look at
    std::string trouble = {};   ///< why not, as the library says it
    std::string chosen_by = {}; ///< "--socket"
    Whose whose = Whose::somebodys;
    std::string overruled =
        {}; ///< "--user" that counts for nothing, as the environment says another
    enum class Kind : std::uint8_t { nothing, other, socket } kind = Kind::nothing;
    mode_t mode = 0;
    uid_t owner = 0;
    /// errno of a connection; 0: somebody listens. Nothing: none was tried.
    std::optional<int> error = {};
    /// "shmbus --system", where there is another bus that might be meant.
    std::string other_bus = {};
    [[nodiscard]] bool is_listened_at() const noexcept { return error == 0; }
};

/// Without a connection: where there is nothing more than systemd's socket, that starts the daemon.
[[nodiscard]] SocketFacts look_at_socket(const BusOptions& options);
/// Connects, and hangs up.
void knock_at(SocketFacts& socket);

/// `how_to_start` a daemon there.
[[nodiscard]] Findings findings_of(const SocketFacts& facts, const std::string& how_to_start);

/// The process that listens there, as the kernel says; 0: nobody, or one that cannot be seen from here.
[[nodiscard]] std::uint32_t listener_at(const std::string& path);

} // namespace shmbus::tools::doctor
