#include "daemon/registry/holder.hpp"

#include <fmt/format.h>
#include <map>

namespace shmbus::registry {

std::string named(const std::vector<Holder>& holders) {
    constexpr std::size_t most = 10;
    std::map<std::uint32_t, std::string> processes;
    for (const auto& holder : holders) processes.emplace(holder.pid, holder.command);
    std::string text;
    std::size_t shown = 0;
    for (const auto& [pid, command] : processes) {
        if (shown == most) break;
        text += fmt::format("{}{} (pid {})", shown++ == 0 ? "" : ", ", command, pid);
    }
    if (processes.size() > most) text += fmt::format(" and {} more", processes.size() - most);
    return text;
}

} // namespace shmbus::registry
