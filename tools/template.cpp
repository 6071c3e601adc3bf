#include "tools/template.hpp"

#include "tools/failure.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <fmt/format.h>

namespace shmbus::tools {

namespace {

constexpr std::string_view fields = "stkycpTa";
constexpr std::string_view escapes = "nt0\\";
constexpr std::string_view escaped = {"\n\t\0\\", 4};

void append_field(std::string& out, char field, const Record& record) {
    switch (field) {
    case 's': out += fmt::to_string(record.sequence); break;
    case 't': out += format_time(record.time); break;
    case 'k': out += record.key; break;
    case 'y': out += fmt::to_string(record.type); break;
    case 'c':
        if (!record.correlation.empty()) out += record.correlation.to_string();
        break;
    case 'p': out += record.payload; break;
    case 'T': out += record.topic; break;
    case 'a': out += fmt::to_string(record.attempt.value_or(1)); break;
    default: break;
    }
}

} // namespace

Template::Template(std::string_view text) {
    bool ended = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        ended = c == '\n';
        if (c != '%' && c != '\\') {
            add_literal(c);
            continue;
        }
        const std::string_view letters = c == '%' ? fields : escapes;
        const char letter = ++i < text.size() ? text[i] : '\0';
        const std::size_t known = letters.find(letter);
        if (c == '%' && letter == '%') {
            add_literal('%');
        } else if (letter == '\0' || known == std::string_view::npos) {
            throw Failure(ExitCode::usage,
                          fmt::format("'{}{}' in the template '{}': there are %s %t %k %y %c %p %T "
                                      "%a %% and \\n \\t \\0 \\\\",
                                      c, letter == '\0' ? "" : printable({&letter, 1}),
                                      printable(text)));
        } else if (c == '%') {
            pieces_.push_back({.literal = {}, .field = letter});
        } else {
            add_literal(escaped[known]);
            ended = letter == 'n' || letter == '0';
        }
    }
    if (!ended) add_literal('\n');
}

void Template::add_literal(char c) {
    if (pieces_.empty() || pieces_.back().field != 0) pieces_.push_back({});
    pieces_.back().literal += c;
}

void Template::append(std::string& out, const Record& record) const {
    for (const Piece& piece : pieces_) {
        if (piece.field != 0)
            append_field(out, piece.field, record);
        else
            out += piece.literal;
    }
}

} // namespace shmbus::tools
