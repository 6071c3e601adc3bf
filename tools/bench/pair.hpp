// Two processes on two cores that measure together; or one alone, which then never waits.
//
// Forked before anything else happens (the library starts a thread), pinned to different cores.
// They meet on a shared page before and after every slice, by spinning, so that nothing of the
// operating system is inside one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sys/types.h>

namespace shmbus::tools::bench {

/// A word that shares its line, and the neighbour the prefetcher fetches with it, with nothing.
struct alignas(128) LonelyWord {
    std::atomic<std::uint64_t> value;
};

/// Zeroed memory that both sides see, its pages present.
std::byte* shared_memory(std::size_t bytes);

enum class Sides : std::uint8_t { one, two };

class Pair {
  public:
    /// Forks where there are two sides; both processes return from here.
    /// @throws std::runtime_error when there are not two cores to run on
    explicit Pair(Sides sides);
    ~Pair(); // the first side waits for the second
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    [[nodiscard]] bool is_first() const noexcept { return is_alone_ || child_ != 0; }

    /// Returns when both sides have called it as often. Ends the process if the other one is dead.
    void meet();
    /// The same; both sides return what the first one says. Has to be followed by a meeting.
    bool agree(bool first_says);

  private:
    bool is_alone_;
    LonelyWord* arrivals_; // one a side
    LonelyWord* verdict_;  // the first side's
    std::uint64_t meetings_ = 0;
    pid_t child_ = 0;
    pid_t parent_;
};

} // namespace shmbus::tools::bench
