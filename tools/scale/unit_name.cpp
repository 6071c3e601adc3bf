#include "tools/scale/unit_name.hpp"

#include "tools/failure.hpp"
#include "tools/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools::scale {

namespace {

constexpr std::string_view suffix = ".service";
constexpr std::size_t longest = 240; // of 255, with the number and the suffix

bool is_allowed(char c) {
    constexpr std::string_view others = ":-_.\\";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
}

} // namespace

std::string parse_template(std::string_view text) {
    auto name = text;
    if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
    const bool is_template = name.size() > 1 && name.ends_with('@') && name.size() <= longest &&
                             std::all_of(name.begin(), name.end() - 1, is_allowed);
    if (!is_template)
        throw Failure(ExitCode::usage,
                      fmt::format("'{}' is no template of a service: write NAME@, for the units "
                                  "NAME@1.service, NAME@2.service and so on",
                                  printable(text)));
    return std::string(name);
}

std::string instance_of(const std::string& unit_template, unsigned number) {
    return fmt::format("{}{}{}", unit_template, number, suffix);
}

} // namespace shmbus::tools::scale
