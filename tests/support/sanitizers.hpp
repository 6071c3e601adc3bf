// Whether a sanitizer stands between this program and its memory: each brings its own malloc().
// g++ says so by a macro, clang++ by __has_feature.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHMBUS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHMBUS_SANITIZED 1
#endif
#endif

namespace shmbus::test {

/// Everything takes longer then, and memory is not what it seems.
#ifdef SHMBUS_SANITIZED
inline constexpr bool instrumented = true;
#else
inline constexpr bool instrumented = false;
#endif

} // namespace shmbus::test
