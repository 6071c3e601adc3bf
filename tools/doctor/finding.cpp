#include "tools/doctor/finding.hpp"

#include "tools/output.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <nlohmann/json.hpp>

namespace shmbus::tools::doctor {

namespace {

const char* colour_of(Severity severity) noexcept {
    switch (severity) {
    case Severity::error: return "\x1b[1;31m";
    case Severity::warning: return "\x1b[33m";
    case Severity::note: return "\x1b[2m";
    }
    return "";
}

} // namespace

const char* name_of(Severity severity) noexcept {
    switch (severity) {
    case Severity::error: return "error";
    case Severity::warning: return "warning";
    case Severity::note: return "note";
    }
    return "?";
}

void add(Findings& to, Findings more) {
    to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

void put_worst_first(Findings& findings) {
    std::stable_sort(findings.begin(), findings.end(),
                     [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
}

bool has_errors(const Findings& findings) noexcept {
    return std::any_of(findings.begin(), findings.end(),
                       [](const Finding& f) { return f.severity == Severity::error; });
}

std::string tally_of(const Findings& findings) {
    const auto count = [&](Severity severity) {
        return static_cast<std::uint64_t>(
            std::count_if(findings.begin(), findings.end(),
                          [&](const Finding& f) { return f.severity == severity; }));
    };
    std::string text;
    if (count(Severity::error) + count(Severity::warning) == 0) text = "nothing wrong";
    for (const auto severity : {Severity::error, Severity::warning, Severity::note})
        if (const auto n = count(severity); n != 0)
            text += (text.empty() ? "" : ", ") + counted(n, name_of(severity));
    return text;
}

std::string text_of(const Finding& finding, bool colour) {
    const auto severity = fmt::format("{:<7}", name_of(finding.severity));
    std::string text = colour ? colour_of(finding.severity) + severity + "\x1b[0m" : severity;
    text += "  " + printable(finding.what) + '\n';
    if (!finding.what_to_do.empty())
        text += fmt::format("{:7}  -> {}\n", "", printable(finding.what_to_do));
    return text;
}

Json json_of(const Finding& finding) {
    Json json{{"severity", name_of(finding.severity)},
              {"check", finding.check},
              {"what", finding.what},
              {"do", finding.what_to_do}};
    if (!finding.topic.empty()) json["topic"] = finding.topic;
    return json;
}

Finding from_message(Severity severity, const std::string& check, const std::string& message) {
    const auto end = message.find("; ");
    if (end == std::string::npos) return {severity, check, message};
    return {severity, check, message.substr(0, end), message.substr(end + 2)};
}

std::string quoted(const std::string& word) {
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("/._-+,:@").find(c) != std::string_view::npos;
    };
    if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
    return text + "'";
}

} // namespace shmbus::tools::doctor
