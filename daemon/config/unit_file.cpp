#include "daemon/config/unit_file.hpp"

#include "text/words.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

namespace shmbus::config {

namespace {

using text::printable;

constexpr std::string_view blanks = " \t";

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool is_comment(std::string_view line) { return line.starts_with('#') || line.starts_with(';'); }

/// Two backslashes are one, which is not the last thing of its line.
bool is_continued(std::string_view line) {
    const auto last = line.find_last_not_of('\\');
    const auto backslashes = last == std::string_view::npos ? line.size() : line.size() - last - 1;
    return backslashes % 2 != 0;
}

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\t') || byte == 0x7F;
}

/// The text line by line; a line that goes on is one with what follows.
class Lines {
  public:
    Lines(std::string_view text, const std::string& file) : text_(text), place_{file, 0} {}

    /// The next one that is neither empty nor a comment; nothing at the end.
    std::optional<std::string> next() {
        std::string whole;
        bool goes_on = false;
        while (const auto line = take()) {
            auto part = trimmed(*line);
            if (is_comment(part) || (part.empty() && !goes_on))
                continue; // within one that goes on, too
            if (!goes_on) place_.line = number_;
            goes_on = is_continued(part);
            if (goes_on) part.remove_suffix(1);
            whole += part;
            if (whole.size() > max_value_bytes)
                throw wrong(place_, fmt::format("a line is longer than {} bytes", max_value_bytes));
            if (!goes_on) return whole;
            whole += ' ';
        }
        if (goes_on) return whole;
        return std::nullopt;
    }
    /// Of the one that came last.
    [[nodiscard]] const Place& place() const noexcept { return place_; }

  private:
    std::optional<std::string_view> take() {
        if (text_.empty()) return std::nullopt;
        const auto end = std::min(text_.find('\n'), text_.size());
        auto line = text_.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        text_.remove_prefix(std::min(end + 1, text_.size()));
        ++number_;
        if (std::any_of(line.begin(), line.end(), is_control))
            throw wrong({place_.file, number_}, "a control character: this is to be plain text");
        return line;
    }
    std::string_view text_;
    std::size_t number_ = 0;
    Place place_;
};

Section section_of(std::string_view line, const Place& place) {
    const auto name = trimmed(line.substr(1, line.size() - 2));
    if (!line.ends_with(']') || name.empty())
        throw wrong(place, fmt::format("'{}' is no section: write [NAME]", printable(line)));
    return {std::string(name), place, {}};
}

Assignment assignment_of(std::string_view line, const Place& place) {
    const auto equals = line.find('=');
    const auto key = trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || key.empty())
        throw wrong(place, fmt::format("'{}' is neither [SECTION] nor KEY=VALUE", printable(line)));
    return {std::string(key), std::string(trimmed(line.substr(equals + 1))), place};
}

} // namespace

Error wrong(const Place& place, std::string_view what) {
    return {Errc::bad_argument, fmt::format("{}:{}: {}", place.file, place.line, what)};
}

std::vector<Section> parse_unit_file(std::string_view text, const std::string& file) {
    if (text.size() > max_file_bytes)
        throw Error(Errc::bad_argument,
                    fmt::format("{} is larger than {} bytes: is it a configuration?", file,
                                max_file_bytes));
    std::vector<Section> sections;
    Lines lines(text, file);
    while (const auto line = lines.next()) {
        const auto whole = trimmed(*line);
        if (whole.starts_with('[')) {
            sections.push_back(section_of(whole, lines.place()));
            continue;
        }
        auto assignment = assignment_of(whole, lines.place());
        if (sections.empty())
            throw wrong(lines.place(),
                        fmt::format("{}= stands before any [SECTION]", printable(assignment.key)));
        sections.back().assignments.push_back(std::move(assignment));
    }
    return sections;
}

std::vector<std::string> words_of(std::string_view value) {
    std::vector<std::string> words;
    std::string_view rest = trimmed(value);
    while (!rest.empty()) {
        std::string word;
        while (!rest.empty() && blanks.find(rest.front()) == std::string_view::npos) {
            const char c = rest.front();
            rest.remove_prefix(1);
            if (c != '"' && c != '\'') {
                word += c;
                continue;
            }
            const auto end = rest.find(c);
            if (end == std::string_view::npos)
                throw Error(Errc::bad_argument, fmt::format("a quote {} is not closed", c));
            word += rest.substr(0, end);
            rest.remove_prefix(end + 1);
        }
        words.push_back(std::move(word));
        rest = trimmed(rest);
    }
    return words;
}

bool yes_or_no(std::string_view value) {
    std::string word(value);
    for (char& c : word)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    for (const auto* yes : {"1", "yes", "true", "on"})
        if (word == yes) return true;
    for (const auto* no : {"0", "no", "false", "off"})
        if (word == no) return false;
    throw Error(Errc::bad_argument, fmt::format("'{}' is neither yes nor no", printable(value)));
}

} // namespace shmbus::config
