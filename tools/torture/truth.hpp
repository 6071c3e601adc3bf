// What is known of each sequence of one topic, from everybody who has said anything of it.
//
// The newest `capacity` sequences are remembered: what is said of older ones cannot be compared any
// more, and is not held against anybody.
#pragma once

#include <shmbus/types.hpp>

#include <cstdint>
#include <deque>

namespace shmbus::tools::torture {

/// What one sequence is.
struct Verdict {
    enum class Is : std::uint8_t { unknown, event, tombstone };
    Is is = Is::unknown;
    bool confirmed = false; ///< its publisher was told that it is published
    bool durable = false;   ///< and that it survives a power loss
    bool delivered = false; ///< somebody has it
    std::uint32_t writer = 0;
    std::uint32_t by = 0; ///< who said so first
    std::uint64_t id = 0;
    std::uint64_t digest = 0;

    [[nodiscard]] bool is_event(std::uint32_t of, std::uint64_t number,
                                std::uint64_t with) const noexcept {
        return is == Is::event && writer == of && id == number && digest == with;
    }
};

class Truth {
  public:
    static constexpr std::size_t capacity = std::size_t{1} << 19U;
    /// Sequences that nobody has spoken of up to one that somebody has: not so many come at once.
    static constexpr std::uint64_t longest_leap = capacity;

    /// nullptr: it is too long ago. @pre is_credible(sequence)
    [[nodiscard]] Verdict* at(Sequence sequence);
    /// No sequence is 0, or that far ahead of all others.
    [[nodiscard]] bool is_credible(Sequence sequence) const noexcept {
        return sequence != 0 && sequence < begin_ + verdicts_.size() + longest_leap;
    }
    /// The newest one that anybody has spoken of.
    [[nodiscard]] Sequence newest() const noexcept { return begin_ + verdicts_.size() - 1; }

  private:
    Sequence begin_ = 1;
    std::deque<Verdict> verdicts_;
};

} // namespace shmbus::tools::torture
