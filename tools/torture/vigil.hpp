// The clock that a torture goes by. It stands still while torture itself does: stopped with ^Z, frozen with its
// container, or with a machine that is suspended.
//
// Its victims may go on meanwhile, and nobody kills whom they wait for, or takes what they say. What one of
// them has waited for in vain then is no fault of the bus.
#pragma once

#include <chrono>
#include <optional>

namespace shmbus::tools::torture {

class Vigil {
  public:
    using Clock = std::chrono::steady_clock;
    /// Between two looks no more than this goes by, whatever else the machine does: a request to the daemon at most.
    static constexpr auto longest_round = std::chrono::seconds(10);
    struct Absence {
        Clock::time_point from;
        Clock::time_point until;
    };

    explicit Vigil(Clock::time_point now) noexcept : last_(now) {}

    /// To be called in every round. @returns the absence that has ended since the last call, if there was one
    std::optional<Absence> look(Clock::time_point now) noexcept;
    /// When that was, without absences.
    [[nodiscard]] Clock::time_point time() const noexcept { return last_ - absent_; }

  private:
    Clock::time_point last_;
    Clock::duration absent_{};
};

} // namespace shmbus::tools::torture
