// Who holds an entry of a topic.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace shmbus::registry {

struct Holder {
    std::uint64_t session = 0;
    std::uint32_t pid = 0;
    uid_t uid = 0;
    std::string command = {};
    std::string unit = {}; // of systemd, if it is in one
};

/// For messages: each process once, the first ten.
[[nodiscard]] std::string named(const std::vector<Holder>& holders);

} // namespace shmbus::registry
