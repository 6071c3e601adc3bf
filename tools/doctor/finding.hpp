// What shmbus doctor has found: how bad, what is wrong, and what to do about it.
#pragma once

#include "tools/text.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace shmbus::tools::doctor {

enum class Severity : std::uint8_t {
    error,   ///< something does not work
    warning, ///< it works, and will not for ever, or not for everybody
    note,    ///< good to know
};

struct Finding {
    Severity severity;
    std::string check; ///< of which group: "socket", "topic"
    std::string what;  ///< one sentence, with the figures
    std::string what_to_do = {};
    std::string topic = {}; ///< empty: it is of none
};

using Findings = std::vector<Finding>;

[[nodiscard]] const char* name_of(Severity severity) noexcept;

/// Appends them.
void add(Findings& to, Findings more);

/// The worst first, otherwise in their order.
void put_worst_first(Findings& findings);

[[nodiscard]] bool has_errors(const Findings& findings) noexcept;

/// "1 error, 2 warnings"; "nothing wrong", with the notes if there are any.
[[nodiscard]] std::string tally_of(const Findings& findings);

/// Two lines, or one where there is nothing to do; printable ASCII.
[[nodiscard]] std::string text_of(const Finding& finding, bool colour);
[[nodiscard]] Json json_of(const Finding& finding);

/// What refusals of the daemon and errors of the library consist of, as "what; what to do".
[[nodiscard]] Finding from_message(Severity severity, const std::string& check,
                                   const std::string& message);

/// A word for a shell, whatever is in it: names and paths may come from a daemon that one has no reason to trust.
[[nodiscard]] std::string quoted(const std::string& word);

} // namespace shmbus::tools::doctor
