// The one seam for atomics on shared memory.
//
// Every word that two processes touch is a Word. Its methods carry the memory order in their
// name, so that a reader of the protocol sees it at each site; each site says in a comment which
// other site it pairs with. Fences live here too, because ThreadSanitizer does not know them: there
// a read-modify-write on a common word stands in, which orders at least as much.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef SHMBUS_RECORD_ORDER
#include "base/recording_atomic.hpp" // for one test: Atomic and fences that tell it of each access
#endif

#if defined(__SANITIZE_THREAD__)
#define SHMBUS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHMBUS_TSAN 1
#endif
#endif

namespace shmbus::base {

/// Frozen here: the compiler's own idea of it changes with its flags.
inline constexpr std::size_t cache_line = 64;

#ifndef SHMBUS_RECORD_ORDER
template <class T> using Atomic = std::atomic<T>;
#ifdef SHMBUS_TSAN
inline std::atomic<int> fence_word{0};
inline void release_fence() noexcept { fence_word.fetch_add(1, std::memory_order_seq_cst); }
inline void acquire_fence() noexcept { fence_word.fetch_add(1, std::memory_order_seq_cst); }
inline void full_fence() noexcept { fence_word.fetch_add(1, std::memory_order_seq_cst); }
#else
inline void release_fence() noexcept { std::atomic_thread_fence(std::memory_order_release); }
inline void acquire_fence() noexcept { std::atomic_thread_fence(std::memory_order_acquire); }
inline void full_fence() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
#endif
#endif

/// An integer in shared memory.
template <class T> class Word {
    static_assert(std::atomic<T>::is_always_lock_free && sizeof(Atomic<T>) == sizeof(T));

  public:
    Word() noexcept = default;
    explicit constexpr Word(T value) noexcept : value_(value) {}

    T load_relaxed() const noexcept { return value_.load(std::memory_order_relaxed); }
    T load_acquire() const noexcept { return value_.load(std::memory_order_acquire); }
    T load_seq_cst() const noexcept { return value_.load(std::memory_order_seq_cst); }
    void store_relaxed(T value) noexcept { value_.store(value, std::memory_order_relaxed); }
    void store_release(T value) noexcept { value_.store(value, std::memory_order_release); }
    T exchange_seq_cst(T value) noexcept {
        return value_.exchange(value, std::memory_order_seq_cst);
    }

    /// Each cas_… leaves in `expected` what it found when it fails.
    bool cas_acquire(T& expected, T desired) noexcept {
        return value_.compare_exchange_strong(expected, desired, std::memory_order_acquire,
                                              std::memory_order_relaxed);
    }
    bool cas_release(T& expected, T desired) noexcept {
        return value_.compare_exchange_strong(expected, desired, std::memory_order_release,
                                              std::memory_order_relaxed);
    }
    bool cas_acq_rel(T& expected, T desired) noexcept {
        return value_.compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                              std::memory_order_acquire);
    }
    bool cas_seq_cst(T& expected, T desired) noexcept {
        return value_.compare_exchange_strong(expected, desired, std::memory_order_seq_cst,
                                              std::memory_order_seq_cst);
    }

    T fetch_add_seq_cst(T value) noexcept {
        return value_.fetch_add(value, std::memory_order_seq_cst);
    }
    T fetch_or_acq_rel(T bits) noexcept { return value_.fetch_or(bits, std::memory_order_acq_rel); }
    T fetch_and_seq_cst(T bits) noexcept {
        return value_.fetch_and(bits, std::memory_order_seq_cst);
    }

    /// Raises the word to at least `floor`; sequentially consistent whether or not it had to.
    void raise_seq_cst(T floor) noexcept {
        T seen = value_.load(std::memory_order_seq_cst);
        while (seen < floor && !value_.compare_exchange_weak(seen, floor, std::memory_order_seq_cst,
                                                             std::memory_order_seq_cst)) {
        }
    }

  private:
    Atomic<T> value_;
};

using Word32 = Word<std::uint32_t>;
using Word64 = Word<std::uint64_t>;

/// Copies bytes into shared words that others may be reading: relaxed, a word at a time. The last
/// word is padded with zeros; `to` has room for it.
inline void store_bytes_relaxed(Word64* to, const std::byte* from, std::size_t size) noexcept {
    for (; size >= 8; size -= 8, from += 8, ++to) {
        std::uint64_t word;
        std::memcpy(&word, from, 8);
        to->store_relaxed(word);
    }
    if (size != 0) {
        std::uint64_t word = 0;
        std::memcpy(&word, from, size);
        to->store_relaxed(word);
    }
}

/// Copies shared words that others may be writing out to private bytes: relaxed, whole words, so
/// `to` has room for `size` rounded up to 8.
inline void load_bytes_relaxed(std::byte* to, const Word64* from, std::size_t size) noexcept {
    for (std::size_t at = 0; at < size; at += 8, ++from) {
        const std::uint64_t word = from->load_relaxed();
        std::memcpy(to + at, &word, 8);
    }
}

} // namespace shmbus::base
