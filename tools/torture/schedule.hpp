// What is done to whom, and when: all of it from one number, so that a run can be had again. (What the
// victims are doing just then is the scheduler's and the disk's to say, so it is not the same run.)
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace shmbus::tools::torture {

/// Fast and good enough: splitmix64.
class Random {
  public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
    std::uint64_t operator()() noexcept {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }
    /// From 0 to limit - 1.
    std::uint64_t below(std::uint64_t limit) noexcept { return (*this)() % limit; }
    [[nodiscard]] bool one_in(std::uint64_t many) noexcept { return below(many) == 0; }

  private:
    std::uint64_t state_;
};

enum class Target : std::uint8_t { publisher, subscriber, consumer, daemon };
[[nodiscard]] const char* name_of(Target target) noexcept;

struct Deed {
    enum class Kind : std::uint8_t { kill, stop, renew };
    std::chrono::milliseconds at{};
    Kind kind = Kind::kill;
    Target target = Target::publisher;
    std::uint64_t whom = 0;                  ///< which one of these, modulo how many there are
    std::chrono::milliseconds how_long = {}; ///< until a stopped one goes on
};

class Schedule {
  public:
    /// A stopped publisher holds others up; a run wants to see that end.
    static constexpr auto longest_stop = std::chrono::milliseconds(2'000);

    explicit Schedule(std::uint64_t seed) : random_(seed) {}
    /// The next one, without end.
    Deed next();

  private:
    Random random_;
    std::chrono::milliseconds at_{0};
};

} // namespace shmbus::tools::torture
