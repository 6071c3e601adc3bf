#include "base/futex.hpp"

#include "shmbus/error.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace shmbus::base {

static_assert(std::endian::native == std::endian::little, "a futex is the low half of its word");

namespace {

std::uint64_t address_of(const void* word) noexcept {
    return reinterpret_cast<std::uintptr_t>(word);
}

timespec to_timespec(Deadline deadline) noexcept {
    // steady_clock is CLOCK_MONOTONIC in libstdc++.
    const auto ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.when().time_since_epoch())
            .count();
    return {ns / 1'000'000'000, ns % 1'000'000'000};
}

} // namespace

void require_futex_waitv() {
    // No waiter at all is EINVAL where the call exists.
    if (::syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, CLOCK_MONOTONIC) == -1 &&
        (errno == ENOSYS || errno == EPERM))
        throw Error(Errc::unsupported,
                    "futex_waitv is missing: Linux 5.16 or later is needed, and a sandbox must "
                    "allow the call");
}

Woken futex_wait(std::span<const Watched> words, const Word32& interrupt,
                 Deadline deadline) noexcept {
    if (interrupt.load_acquire() != 0) return Woken::interrupted;
    if (deadline.passed()) return Woken::timed_out;
    std::array<futex_waitv, max_watched + 1> waiters; // as much of it as is needed
    const auto watch = [](const void* word, std::uint64_t seen, std::uint32_t flags) {
        return futex_waitv{seen & 0xffffffffU, address_of(word), FUTEX_32 | flags, 0};
    };
    waiters[0] = watch(&interrupt, 0, FUTEX_PRIVATE_FLAG);
    unsigned count = 1;
    for (const Watched& watched : words) waiters[count++] = watch(watched.word, watched.seen, 0);
    const timespec until = deadline.is_never() ? timespec{} : to_timespec(deadline);
    const long rc = ::syscall(SYS_futex_waitv, waiters.data(), count, 0,
                              deadline.is_never() ? nullptr : &until, CLOCK_MONOTONIC);
    if (rc >= 0 || errno == EAGAIN)
        return interrupt.load_acquire() != 0 ? Woken::interrupted : Woken::look;
    return errno == ETIMEDOUT ? Woken::timed_out : Woken::interrupted;
}

void futex_wake_all(const Word64& word) noexcept {
    (void)::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void futex_wake_private(const Word32& word) noexcept {
    const int saved = errno;
    (void)::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    errno = saved;
}

} // namespace shmbus::base
