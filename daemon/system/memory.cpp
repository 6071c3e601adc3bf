#include "daemon/system/memory.hpp"

#include <fstream>
#include <limits>
#include <string>

namespace shmbus::system {

std::uint64_t available_memory() {
    std::ifstream file("/proc/meminfo");
    std::string name;
    for (std::uint64_t kib = 0; file >> name >> kib; file.ignore(64, '\n'))
        if (name == "MemAvailable:") return kib * 1024;
    return std::numeric_limits<std::uint64_t>::max();
}

} // namespace shmbus::system
