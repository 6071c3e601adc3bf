#include "daemon/activation/consumer.hpp"

#include <algorithm>
#include <string_view>

namespace shmbus::activation {

bool is_service_name(const std::string& unit) noexcept {
    constexpr std::string_view suffix = ".service";
    constexpr std::size_t longest = 255; // UNIT_NAME_MAX
    constexpr std::string_view others = ":-_.\\@";
    if (!unit.ends_with(suffix) || unit.size() == suffix.size() || unit.size() > longest)
        return false;
    const auto stem = std::string_view(unit).substr(0, unit.size() - suffix.size());
    const auto is_known = [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               others.find(c) != std::string_view::npos;
    };
    // "mail@.service" is a template, and no unit.
    return std::all_of(stem.begin(), stem.end(), is_known) && !stem.starts_with('@') &&
           !stem.ends_with('@');
}

} // namespace shmbus::activation
