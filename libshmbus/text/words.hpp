// Words that people typed, and what to show them of those.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shmbus::text {

/// The text with everything but printable ASCII as \xHH, so that a message shows it as it is and no
/// escape sequence reaches the terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// The word of `known` that was probably meant by `typed`; empty if none is close.
[[nodiscard]] std::string nearest_word(std::string_view typed,
                                       const std::vector<std::string>& known);

} // namespace shmbus::text
