// Asking for a cache line before it is needed.
#pragma once

namespace shmbus::base {

/// To be written: others lose it now, instead of at the store. A hint; any address is safe.
inline void prefetch_for_write(const void* line) noexcept {
#if defined(__x86_64__)
    // The builtin emits it only when told that the processor has it. Those that have not ignore it.
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
#else
    __builtin_prefetch(line, 1);
#endif
}

/// To be read.
inline void prefetch_for_read(const void* line) noexcept { __builtin_prefetch(line, 0); }

} // namespace shmbus::base
