// Random bytes from the kernel.
#pragma once

#include <cstddef>
#include <span>

namespace shmbus::base {

/// Fills at most 256 bytes. @throws Error(system) without a source of randomness
void fill_random(std::span<std::byte> bytes);

} // namespace shmbus::base
