// Sleeping on a word in shared memory.
//
// The words of the wake-up protocols are 64-bit counters; the futex is their low half. (std::atomic
// ::wait and kj's futex are process-private and will not do.) A sleeper always listens to a second
// word too, private to its process, by which it can be interrupted: futex_waitv, Linux 5.16. Works
// on read-only mappings.
#pragma once

#include "base/atomic.hpp"
#include "shmbus/types.hpp"

#include <span>

namespace shmbus::base {

enum class Woken : std::uint8_t {
    look,        // woken, or the word had moved on already: look again
    timed_out,   // the deadline passed
    interrupted, // a signal handler ran, or the interrupt word is set
};

/// @throws Error(unsupported) on a kernel without futex_waitv
void require_futex_waitv();

/// A word, and the value that it had.
struct Watched {
    const Word64* word = nullptr;
    std::uint64_t seen = 0;
};
inline constexpr std::size_t max_watched = 127; // FUTEX_WAITV_MAX, and one for the interrupt word

/// Sleeps while each of the words, at most max_watched, is as it was and `interrupt` is 0.
Woken futex_wait(std::span<const Watched> words, const Word32& interrupt,
                 Deadline deadline) noexcept;
inline Woken futex_wait(const Word64& word, std::uint64_t seen, const Word32& interrupt,
                        Deadline deadline) noexcept {
    const Watched watched{&word, seen};
    return futex_wait({&watched, 1}, interrupt, deadline);
}

/// Wakes all processes that sleep on `word`.
void futex_wake_all(const Word64& word) noexcept;

/// Wakes the threads of this process that sleep with this interrupt word. Async-signal-safe.
void futex_wake_private(const Word32& word) noexcept;

} // namespace shmbus::base
