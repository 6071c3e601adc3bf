// How --help looks: one column of options, one of wrapped descriptions, and nothing that a reader does
// not need (what excludes what is said when somebody tries it).
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

namespace shmbus::tools {

[[nodiscard]] std::shared_ptr<CLI::FormatterBase> help_formatter();

/// The help of a verb, or of the program.
[[nodiscard]] std::string help_of(const CLI::App& verb);

/// The verb as one types it: "shmbus topic create".
[[nodiscard]] std::string full_name(const CLI::App* verb);

} // namespace shmbus::tools
