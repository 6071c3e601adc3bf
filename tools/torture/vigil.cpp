#include "tools/torture/vigil.hpp"

#include <utility>

namespace shmbus::tools::torture {

std::optional<Vigil::Absence> Vigil::look(Clock::time_point now) noexcept {
    // Some of it counts, so that one who only has long rounds comes to an end, too.
    constexpr auto counted = std::chrono::seconds(1);
    const auto last = std::exchange(last_, now);
    if (now - last <= longest_round) return std::nullopt;
    absent_ += now - last - counted;
    return Absence{last, now};
}

} // namespace shmbus::tools::torture
