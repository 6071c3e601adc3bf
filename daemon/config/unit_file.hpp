// A file in systemd's syntax (systemd.syntax(7)), as a list of assignments.
//
//     # a comment, as ; is
//     [Section]
//     Key=value
//
// A line that ends in a backslash goes on in the next one, behind a space.
//
// It does not say what keys there are, nor what their values mean. No library of Debian's reads this: libinih,
// libiniparser and CLI11 each know continuation, quotes or repeated keys in another way, or not at all.
#pragma once

#include "shmbus/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace shmbus::config {

/// Where something stands, for those who have to change it.
struct Place {
    std::string file;
    std::size_t line = 0; // of the first, where there are several
};

struct Assignment {
    std::string key;
    std::string
        value; // without the spaces around it; empty: what was assigned before counts no more
    Place place;
};

struct Section {
    std::string name;
    Place place;
    std::vector<Assignment> assignments;
};

inline constexpr std::size_t max_file_bytes = 1U << 20U;
inline constexpr std::size_t max_value_bytes = 16U << 10U;

/// Error(bad_argument): "FILE:LINE: what is wrong, and what would be right".
[[nodiscard]] Error wrong(const Place& place, std::string_view what);

/// Sections as they come, those of one name too. @param file its name, for messages @throws Error(bad_argument)
[[nodiscard]] std::vector<Section> parse_unit_file(std::string_view text, const std::string& file);

/// The words of a value that is a list: apart by spaces, unless between '…' or "…".
/// @throws Error(bad_argument), without a place, when a quote is not closed
[[nodiscard]] std::vector<std::string> words_of(std::string_view value);

/// 1, yes, true, on; 0, no, false, off; in any case of letters. @throws Error(bad_argument), likewise
[[nodiscard]] bool yes_or_no(std::string_view value);

} // namespace shmbus::config
