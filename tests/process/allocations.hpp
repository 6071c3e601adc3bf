// Counts allocations of this process, by standing in front of malloc().
#pragma once

#include <cstdint>

namespace shmbus::test {

/// Calls of malloc, calloc, realloc and aligned_alloc so far, and with them of operator new. None
/// where `instrumented`.
[[nodiscard]] std::uint64_t allocations() noexcept;

} // namespace shmbus::test
