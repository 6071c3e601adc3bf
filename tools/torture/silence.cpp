#include "tools/torture/silence.hpp"

#include <algorithm>

namespace shmbus::tools::torture {

template <class Each> void Silence::for_each(Target target, std::size_t topic, Each each) {
    if (target != Target::daemon)
        each(topics_.at(topic));
    else
        std::for_each(topics_.begin(), topics_.end(), each);
}

void Silence::killed(Target target, std::size_t topic, std::uint64_t at) {
    for_each(target, topic, [&](Topic& it) {
        if (at > it.excused_until) it.kills.push_back({target, at});
    });
}

void Silence::excused(Target target, std::size_t topic, std::uint64_t until) {
    for_each(target, topic, [&](Topic& it) {
        it.kills.clear();
        it.excused_until = std::max(it.excused_until, until);
    });
}

void Silence::delivered(std::size_t topic, std::uint64_t at) {
    auto& kills = topics_.at(topic).kills;
    std::erase_if(kills, [&](const Kill& kill) {
        if (at <= kill.at) return false;
        auto& longest = longest_.at(static_cast<std::size_t>(kill.target));
        longest = std::max(longest, at - kill.at);
        return true;
    });
}

} // namespace shmbus::tools::torture
