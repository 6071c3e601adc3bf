#include "process/allocations.hpp"

#include "support/sanitizers.hpp"

#include <atomic>
#include <cstddef>

namespace {
std::atomic<std::uint64_t> count{0};
}

std::uint64_t shmbus::test::allocations() noexcept { return count; }

#ifndef SHMBUS_SANITIZED
#ifdef __clang__
#pragma clang diagnostic ignored "-Wreserved-identifier" // those of glibc
#endif
// glibc lets a program define these four; its own are still there under other names. What they
// return may go to glibc's free(), which is left alone.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
    ++count;
    return __libc_malloc(size);
}
void* calloc(std::size_t n, std::size_t size) {
    ++count;
    return __libc_calloc(n, size);
}
void* realloc(void* old, std::size_t size) {
    ++count;
    return __libc_realloc(old, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
    ++count;
    return __libc_memalign(alignment, size);
}
}
#endif
