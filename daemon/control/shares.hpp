// How the descriptors that are kept for connections are shared out, so that nobody takes what others need.
//
// A connection takes two: its socket and the pidfd of its process. A file that a client was given takes one, until
// the client has let go of its capability.
#pragma once

#include "daemon/registry/limits.hpp"

#include <algorithm>

namespace shmbus::control {

inline constexpr std::size_t most_strangers = 64;

struct Shares {
    std::size_t connections;          // of all but root and strangers
    std::size_t connections_per_user; // of these
    std::size_t connections_of_root;
    std::size_t
        connections_of_strangers; // whom the policy does not admit, together: they are told so, and no more
    std::size_t files;
    std::size_t files_per_user;
};

/// With few descriptors everything gets less, but nobody gets all.
[[nodiscard]] constexpr Shares shares_of(const registry::Limits& limits, std::size_t descriptors) {
    const auto all = std::min(descriptors / 2, registry::descriptors_for_connections(limits));
    Shares shares{};
    shares.files = std::min(4 * limits.sessions_per_user, all / 4);
    shares.files_per_user = shares.files / 2;
    const auto most = (all - shares.files - all / 32) / 2;
    // More than sessions, so that who is beyond that limit can be told so.
    const auto with_room = [](std::size_t sessions) { return sessions + sessions / 4; };
    shares.connections_of_strangers = std::min(most_strangers, most / 16);
    shares.connections_of_root = std::min(with_room(limits.sessions_per_user), most / 3);
    shares.connections =
        std::min(with_room(limits.sessions),
                 most - shares.connections_of_strangers - shares.connections_of_root);
    shares.connections_per_user =
        std::min(with_room(limits.sessions_per_user), shares.connections / 2);
    return shares;
}

} // namespace shmbus::control
