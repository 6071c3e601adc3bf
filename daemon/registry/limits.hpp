// What one user, and all together, may make the daemon hold. Charged before it is acquired.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shmbus::registry {

/// What the configuration can say.
struct Limits {
    std::size_t sessions = 1'024; // root's do not count
    std::size_t sessions_per_user = 256;
    std::size_t topics_per_user = 10'000;
    std::size_t subscriptions_per_topic = 1'000; // durable ones
    std::size_t subscriptions_per_user = 500;    // of these, in one topic
    /// Of what is allocated when a topic is made. The pool is sparse and not part of it.
    std::uint64_t memory_per_user = std::uint64_t{1} << 30U;
    /// Of what the files of a topic may take. Root and the daemon's own user have the disk anyway.
    std::uint64_t disk_per_user = std::uint64_t{16} << 30U;
    bool operator==(const Limits&) const = default;
};

inline constexpr std::uint16_t entries_per_topic = 256;      // for publishers, and for subscribers
inline constexpr std::size_t max_leases_per_session = 4'096; // their numbers fit into one message
inline constexpr std::size_t descriptors_per_topic = 12;     // memory, books, files
/// Kept for connections and what is on its way over them (daemon/control/shares.hpp); at most half of what the
/// daemon may open.
[[nodiscard]] constexpr std::size_t descriptors_for_connections(const Limits& limits) {
    constexpr std::size_t strangers = 128;
    const auto shared_out = 5 * (limits.sessions + limits.sessions_per_user) / 2 +
                            4 * limits.sessions_per_user + strangers;
    return shared_out + shared_out / 30; // for what the daemon itself opens now and then
}

} // namespace shmbus::registry
