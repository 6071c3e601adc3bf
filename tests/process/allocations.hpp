// Counts allocations of this process, by standing in front of malloc().
#pragma once

#include <cstdint>

namespace shmbus::test {

/// Sanitizers bring their own malloc().
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool counts_allocations = false;
#else
inline constexpr bool counts_allocations = true;
#endif

/// Calls of malloc, calloc, realloc and aligned_alloc so far, and with them of operator new.
[[nodiscard]] std::uint64_t allocations() noexcept;

} // namespace shmbus::test
