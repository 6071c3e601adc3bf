// Asking systemd to start a unit, over D-Bus.
#pragma once

#include "daemon/activation/consumer.hpp"

#include <cstdint>

namespace shmbus::activation {

enum class Manager : std::uint8_t { systems, users };

/// Asks it to start the unit, unless it is doing so; does not wait until it runs. Waits for systemd's answer, 5 s
/// at most. Never throws.
[[nodiscard]] Outcome start_unit(Manager manager, const std::string& unit) noexcept;

} // namespace shmbus::activation
