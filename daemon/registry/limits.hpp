// What one user, and all together, may make the daemon hold. Charged before it is acquired.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shmbus::registry {

inline constexpr std::uint16_t entries_per_topic = 256; // for publishers, and for subscribers
inline constexpr std::size_t max_sessions = 1'024;      // root's do not count
inline constexpr std::size_t max_sessions_per_user = 256;
inline constexpr std::size_t max_leases_per_session = 4'096; // their numbers fit into one message
inline constexpr std::size_t max_topics_per_user = 10'000;
inline constexpr std::size_t max_subscriptions_per_topic = 1'000; // durable ones
inline constexpr std::size_t descriptors_per_topic = 12;          // memory, books, files
/// Kept for connections, which take two each; at most half of what the daemon may open.
inline constexpr std::size_t descriptors_for_connections = 3'600;
/// Of what is allocated when a topic is made. The pool is sparse and not part of it.
inline constexpr std::uint64_t max_memory_per_user = std::uint64_t{1} << 30U;

} // namespace shmbus::registry
