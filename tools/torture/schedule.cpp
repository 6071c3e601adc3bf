#include "tools/torture/schedule.hpp"

#include <array>

namespace shmbus::tools::torture {

namespace {

struct Share {
    Deed::Kind kind;
    Target target;
    unsigned of_hundred;
};

constexpr std::array<Share, 9> shares{{
    {Deed::Kind::kill, Target::publisher, 28},
    {Deed::Kind::kill, Target::subscriber, 14},
    {Deed::Kind::kill, Target::consumer, 16},
    {Deed::Kind::kill, Target::daemon, 6},
    {Deed::Kind::stop, Target::publisher, 14},
    {Deed::Kind::stop, Target::subscriber, 10},
    {Deed::Kind::stop, Target::consumer, 7},
    {Deed::Kind::stop, Target::daemon, 2},
    {Deed::Kind::renew, Target::daemon, 3},
}};

Share pick(std::uint64_t of_hundred) {
    for (const Share& share : shares) {
        if (of_hundred < share.of_hundred) return share;
        of_hundred -= share.of_hundred;
    }
    return shares.front();
}

} // namespace

const char* name_of(Target target) noexcept {
    switch (target) {
    case Target::publisher: return "publisher";
    case Target::subscriber: return "subscriber";
    case Target::consumer: return "consumer";
    case Target::daemon: return "daemon";
    }
    return "?";
}

Deed Schedule::next() {
    at_ += std::chrono::milliseconds(1 + random_.below(130));
    const Share share = pick(random_.below(100));
    Deed deed{.at = at_, .kind = share.kind, .target = share.target, .whom = random_()};
    // Most stops are short; a few are longer than what the bus waits.
    const auto most = random_.one_in(4) ? longest_stop.count() : longest_stop.count() / 10;
    deed.how_long = std::chrono::milliseconds(1 + random_.below(static_cast<std::uint64_t>(most)));
    return deed;
}

} // namespace shmbus::tools::torture
