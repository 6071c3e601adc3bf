// A stand-in for std::atomic that tells a test of every access, just before it happens.
//
// Never part of the library: base/atomic.hpp includes it when SHMBUS_RECORD_ORDER is defined, which
// one test does for its own copy of ring/. The test asserts the orders it sees, runs another party
// between two accesses, or takes a copy of the memory as a publisher killed there would leave it.
// Such a test has one thread, so the fences need not do anything.
#pragma once

#include <atomic>

namespace shmbus::base {

enum class AtomicOp { load, store, exchange, cas, fetch_add, fetch_or, fetch_and, fence };

/// Defined by the test. `word` is null for a fence.
void about_to(AtomicOp op, const void* word, std::memory_order order) noexcept;

inline void acquire_fence() noexcept {
    about_to(AtomicOp::fence, nullptr, std::memory_order_acquire);
}
inline void release_fence() noexcept {
    about_to(AtomicOp::fence, nullptr, std::memory_order_release);
}
inline void full_fence() noexcept { about_to(AtomicOp::fence, nullptr, std::memory_order_seq_cst); }

template <class T> class Atomic {
  public:
    Atomic() noexcept = default;
    explicit constexpr Atomic(T value) noexcept : value_(value) {}

    T load(std::memory_order order) const noexcept {
        about_to(AtomicOp::load, this, order);
        return value_.load(order);
    }
    void store(T value, std::memory_order order) noexcept {
        about_to(AtomicOp::store, this, order);
        value_.store(value, order);
    }
    T exchange(T value, std::memory_order order) noexcept {
        about_to(AtomicOp::exchange, this, order);
        return value_.exchange(value, order);
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                                 std::memory_order failure) noexcept {
        about_to(AtomicOp::cas, this, success);
        return value_.compare_exchange_strong(expected, desired, success, failure);
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                               std::memory_order failure) noexcept {
        return compare_exchange_strong(expected, desired, success, failure);
    }
    T fetch_add(T value, std::memory_order order) noexcept {
        about_to(AtomicOp::fetch_add, this, order);
        return value_.fetch_add(value, order);
    }
    T fetch_or(T bits, std::memory_order order) noexcept {
        about_to(AtomicOp::fetch_or, this, order);
        return value_.fetch_or(bits, order);
    }
    T fetch_and(T bits, std::memory_order order) noexcept {
        about_to(AtomicOp::fetch_and, this, order);
        return value_.fetch_and(bits, order);
    }

  private:
    std::atomic<T> value_;
};

} // namespace shmbus::base
