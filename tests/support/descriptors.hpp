// How many descriptors a process has open.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace shmbus::test {

/// `process`: its number; this one's is one more by the look itself.
inline std::size_t descriptors(const std::string& process = "self") {
    const std::filesystem::directory_iterator all("/proc/" + process + "/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

} // namespace shmbus::test
