// A robust futex: a word by which one process learns that a thread of another has ended.
//
// The kernel marks the word of a thread that ends, however it does, and wakes who sleeps on it, before it
// takes down the process's memory: in a fraction of a millisecond, where a pidfd of a large process takes
// tens of them (see get_robust_list(2), and Documentation/locking/robust-futexes in the kernel). It tells of
// a thread, not of a process: what else is in that process may go on and write, or have been replaced by
// exec. The word is that of a robust pthread mutex, which is at its beginning.
#pragma once

#include "base/atomic.hpp"
#include "base/mapping.hpp"

namespace shmbus::base {

inline constexpr std::uint64_t robust_bytes = 4096;

/// The thread that makes this holds the futex, for as long as this lives, and has to destroy it.
class RobustHold {
  public:
    /// `memory`: robust_bytes of zeros, sealed, for nobody but this and who watches.
    /// @throws Error(damaged) when it is something else, Error(limit), Error(system)
    explicit RobustHold(const Fd& memory);
    ~RobustHold();
    RobustHold(const RobustHold&) = delete;
    RobustHold& operator=(const RobustHold&) = delete;

  private:
    Mapping mapping_;
};

/// What the other side sees of it.
class RobustWatch {
  public:
    explicit RobustWatch(const Fd& memory) : mapping_(memory, Access::read_only, robust_bytes) {}
    /// The low half of it is the futex.
    [[nodiscard]] const Word64& word() const noexcept;
    /// Whether a word with this value was held by a thread that has ended.
    [[nodiscard]] static bool has_ended(std::uint64_t word) noexcept;

  private:
    Mapping mapping_;
};

} // namespace shmbus::base
