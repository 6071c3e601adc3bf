// Who plays in a torture, and in which topics: one of each kind that there is, small enough that rings
// are lapped all the time, and files expire.
#pragma once

#include "tools/torture/actor.hpp"

#include <vector>

namespace shmbus::tools::torture {

struct Cast {
    std::vector<TopicRules> topics;
    std::vector<Part> parts; ///< those that must be there before anybody publishes first
};

[[nodiscard]] Cast make_cast();

/// What files of these topics take at most.
[[nodiscard]] std::uint64_t disk_bytes(const Cast& cast);

} // namespace shmbus::tools::torture
