#include "tools/torture/usage.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

namespace shmbus::tools::torture {

namespace fs = std::filesystem;

std::optional<Usage> usage_of(pid_t pid) {
    const fs::path proc = "/proc/" + std::to_string(pid);
    std::error_code gone;
    const auto descriptors = fs::directory_iterator(proc / "fd", gone);
    if (gone) return std::nullopt;
    Usage usage;
    usage.descriptors =
        static_cast<std::uint64_t>(std::distance(begin(descriptors), end(descriptors)));
    std::ifstream status(proc / "status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("RssAnon:")) usage.memory_kib = std::stoull(line.substr(8));
    return usage;
}

std::string growth(const Usage& before, const Usage& now, const Usage& allowance) {
    if (now.descriptors > before.descriptors + allowance.descriptors)
        return fmt::format("{} descriptors, and {} at the beginning", now.descriptors,
                           before.descriptors);
    if (now.memory_kib > before.memory_kib + allowance.memory_kib)
        return fmt::format("{} KiB of memory, and {} at the beginning", now.memory_kib,
                           before.memory_kib);
    return {};
}

} // namespace shmbus::tools::torture
