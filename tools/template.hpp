// The templates of sub --format: text with fields, such as '%s %k %p'.
//
//   %s sequence   %t time   %k key   %y type   %c correlation   %p payload   %T topic   %a attempt
//   %% a percent   \n newline   \t tab   \0 NUL   \\ a backslash
//
// Every event ends with a newline unless the template itself ends with \n or \0.
#pragma once

#include "tools/record.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace shmbus::tools {

class Template {
  public:
    Template() = default;
    /// @throws Failure(usage), naming the first thing that is not as above
    explicit Template(std::string_view text);
    void append(std::string& out, const Record& record) const;

  private:
    void add_literal(char c);
    // A piece of literal text, or a field's letter.
    struct Piece {
        std::string literal;
        char field = 0;
    };
    std::vector<Piece> pieces_;
};

} // namespace shmbus::tools
