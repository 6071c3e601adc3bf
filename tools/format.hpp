// How sub prints events: --format lines|raw|framed|hex|json|TEMPLATE.
#pragma once

#include "tools/record.hpp"
#include "tools/template.hpp"
#include "tools/text.hpp"

#include <string>
#include <string_view>

namespace shmbus::tools {

/// As --format json shows it.
[[nodiscard]] Json json_of(const Record& record);

class Format {
  public:
    Format() = default; // lines
    /// @throws Failure(usage)
    explicit Format(std::string_view text);

    void append(std::string& out, const Record& record) const;
    /// A gap is data where the format has room for it: in JSON. Elsewhere it goes to stderr.
    [[nodiscard]] bool shows_gaps() const noexcept { return kind_ == Kind::json; }
    void append_gap(std::string& out, std::string_view topic, const Gap& gap) const;

  private:
    enum class Kind { lines, raw, framed, hex, json, by_template };
    Kind kind_ = Kind::lines;
    Template template_;
};

} // namespace shmbus::tools
