#include "tools/doctor/process.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

namespace shmbus::tools::doctor {

namespace {

constexpr std::size_t most_bytes = 64U << 10U;
constexpr std::string_view service_suffix = ".service";

bool is_unit_name(std::string_view name) {
    constexpr std::string_view others = ":_.\\@-";
    const auto is_alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return name.size() > service_suffix.size() && is_alphanumeric(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) {
               return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
           });
}

} // namespace

std::string contents_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(most_bytes, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    return text;
}

std::optional<Process> parse_stat(std::string_view text) {
    // "17 (the (name)) S 1 …": the name may have anything in it.
    const auto open = text.find('(');
    const auto close = text.rfind(')');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open)
        return std::nullopt;
    Process process;
    process.command = text.substr(open + 1, close - open - 1);
    std::istringstream before{std::string(text.substr(0, open))};
    std::istringstream behind{std::string(text.substr(close + 1))};
    if (!(before >> process.pid) || !(behind >> process.state >> process.parent))
        return std::nullopt;
    return process;
}

std::optional<Process> process_of(std::uint32_t pid) {
    return parse_stat(contents_of("/proc/" + std::to_string(pid) + "/stat"));
}

std::optional<std::uint64_t> parse_descriptor_limit(std::string_view text) {
    constexpr std::string_view name = "Max open files";
    const auto line = text.find(name);
    if (line == std::string_view::npos) return std::nullopt;
    std::istringstream values{std::string(text.substr(line + name.size()))};
    std::string soft;
    values >> soft;
    if (soft == "unlimited") return std::numeric_limits<std::uint64_t>::max();
    std::uint64_t limit = 0;
    if (!(std::istringstream(soft) >> limit)) return std::nullopt;
    return limit;
}

std::optional<std::size_t> parse_namespaces(std::string_view text) {
    constexpr std::string_view name = "NSpid:";
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(name)) continue;
        std::istringstream numbers(line.substr(name.size()));
        const std::istream_iterator<std::string> first(numbers);
        return static_cast<std::size_t>(std::distance(first, {}));
    }
    return std::nullopt;
}

std::string listener_in(std::istream& text, const std::string& path) {
    constexpr unsigned long accepts = 1UL << 16U; // __SO_ACCEPTCON: it is no connection
    for (std::string line; std::getline(text, line);) {
        // "Num: RefCount Protocol Flags Type St Inode Path"
        std::istringstream fields(line);
        std::string other;
        std::string flags;
        std::string inode;
        std::string where;
        fields >> other >> other >> other >> flags >> other >> other >> inode >> std::ws;
        std::getline(fields, where);
        const bool listens = (std::strtoul(flags.c_str(), nullptr, 16) & accepts) != 0;
        if (listens && where == path) return inode;
    }
    return {};
}

Service parse_service(std::string_view text) {
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("0::") && line.find(":name=systemd:") == std::string::npos) continue;
        auto name = line.substr(line.rfind('/') + 1);
        if (name.ends_with(service_suffix) && is_unit_name(name))
            return {std::move(name), line.find("/user@") != std::string::npos};
    }
    return {};
}

} // namespace shmbus::tools::doctor
