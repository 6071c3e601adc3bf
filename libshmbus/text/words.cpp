#include "text/words.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <utility>

namespace shmbus::text {

namespace {

// Levenshtein's distance: the least number of letters to insert, remove or replace.
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
        }
    }
    return row.back();
}

} // namespace

std::string printable(std::string_view text) {
    std::string shown;
    for (const char c : text) {
        if (c >= 0x20 && c < 0x7F)
            shown += c;
        else
            fmt::format_to(std::back_inserter(shown), "\\x{:02x}", static_cast<unsigned char>(c));
    }
    return shown;
}

std::string nearest_word(std::string_view typed, const std::vector<std::string>& known) {
    std::string best;
    std::size_t best_edits = 3;
    for (const std::string& word : known) {
        const std::size_t distance =
            !typed.empty() && word.starts_with(typed) ? 1 : edits(typed, word);
        if (distance < best_edits && distance < word.size()) {
            best = word;
            best_edits = distance;
        }
    }
    return best;
}

} // namespace shmbus::text
