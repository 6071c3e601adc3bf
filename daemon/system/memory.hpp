// How much memory the host has left.
#pragma once

#include <cstdint>

namespace shmbus::system {

/// What can be allocated without pushing anybody out (MemAvailable); a very large number where
/// /proc does not say.
[[nodiscard]] std::uint64_t available_memory();

} // namespace shmbus::system
