// How many instances of a consumer are to run: decided from what there is to do, once a round. It asks nobody and
// starts nothing.
//
// One comes as soon as there is work and none; another each time that the lag was too long for several rounds in a
// row, and all that were started have come up. One goes each time that there was nothing to do for some time. So a
// burst that those who are there cope with starts nobody, and a pause between two events stops nobody.
#pragma once

#include "tools/units.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shmbus::tools::scale {

using Clock = std::chrono::steady_clock;

struct Limits {
    unsigned least = 0;
    unsigned most = 1;
    std::uint64_t lag = 100; // what is above that is too much
    unsigned rounds = 3;     // for so many in a row
    Nanoseconds idle = std::chrono::seconds(30);
};

struct Load {
    std::uint64_t lag = 0;     // events that are not acknowledged
    std::uint32_t in_hand = 0; // of these, with a consumer just now
    [[nodiscard]] bool is_none() const noexcept { return lag == 0 && in_hand == 0; }
};

/// One of the units; in the order of their numbers, from 1 on.
struct Instance {
    enum class State : std::uint8_t { ended, starting, running, stopping, failed };
    State state = State::ended;
    std::string result = {}; // why it failed
    [[nodiscard]] bool is_up() const noexcept {
        return state == State::starting || state == State::running;
    }
};

struct Decision {
    enum class Act : std::uint8_t { start, stop, note_failure };
    Act act;
    unsigned number; // of the instance
    std::string why;
};

[[nodiscard]] const char* name_of(Decision::Act act) noexcept;

class Scaler {
  public:
    explicit Scaler(const Limits& limits) : limits_(limits) {}
    /// One round, with `limits.most` instances. It is expected that what it says is done.
    [[nodiscard]] std::vector<Decision> decide(Clock::time_point now, const Load& load,
                                               std::span<const Instance> instances);
    /// An instance could not even be asked for: as one that has failed.
    [[nodiscard]] Decision note_refusal(Clock::time_point now, unsigned number,
                                        const std::string& why);

  private:
    using Instances = std::span<const Instance>;
    Decision fail(Clock::time_point now, unsigned number, const std::string& why);
    void note_failures(Clock::time_point now, Instances instances, std::vector<Decision>& to);
    void grow(Clock::time_point now, const Load& load, Instances instances,
              std::vector<Decision>& to);
    void shrink(Clock::time_point now, const Load& load, Instances instances,
                std::vector<Decision>& to);
    bool start(Instances instances, const std::string& why, std::vector<Decision>& to);

    const Limits limits_;
    unsigned high_ = 0; // rounds with too long a lag
    std::optional<Clock::time_point> idle_since_;
    std::vector<bool> told_; // by instance: its failure is known
    std::chrono::seconds pause_{0};
    std::optional<Clock::time_point> not_before_; // nobody is started
};

} // namespace shmbus::tools::scale
