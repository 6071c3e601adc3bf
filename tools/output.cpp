#include "tools/output.hpp"

#include "tools/failure.hpp"
#include "tools/interrupt.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

namespace shmbus::tools {

void write_out(std::string_view data) {
    while (!data.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, data.data(), data.size());
        if (written >= 0) {
            data.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EPIPE) {
            throw OutputClosed();
        } else if (errno != EINTR) {
            throw Failure(ExitCode::failed, fmt::format("stdout: {}", std::strerror(errno)));
        }
        if (!data.empty() && interrupted()) throw Interrupted();
    }
}

void note(std::string_view message) noexcept {
    try {
        // One write, so that lines of several programs do not mix.
        const std::string line = fmt::format("shmbus: {}\n", message);
        [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    } catch (...) { // no memory for a note: then there is none
    }
}

bool colour_wanted(int fd) {
    const char* const no_colour = std::getenv("NO_COLOR");
    const char* const terminal = std::getenv("TERM");
    return ::isatty(fd) == 1 && (no_colour == nullptr || *no_colour == '\0') &&
           terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

std::string counted(std::uint64_t n, std::string_view noun) {
    return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
    for (const Column& column : columns_) widths_.push_back(column.title.size());
}

void Table::add(std::vector<std::string> cells) {
    for (std::size_t i = 0; i < columns_.size(); ++i)
        widths_[i] = std::max(widths_[i], cells[i].size());
    rows_.push_back(std::move(cells));
}

std::string Table::line(const std::vector<std::string>& cells) const {
    std::string text;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (i > 0) text += "  ";
        text += columns_[i].align == Align::right ? fmt::format("{:>{}}", cells[i], widths_[i])
                                                  : fmt::format("{:<{}}", cells[i], widths_[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

std::string Table::text(bool colour) const {
    std::vector<std::string> titles;
    for (const Column& column : columns_) titles.push_back(column.title);
    std::string text = colour ? "\x1b[1m" + line(titles) + "\x1b[0m\n" : line(titles) + "\n";
    for (const auto& row : rows_) text += line(row) + "\n";
    return text;
}

} // namespace shmbus::tools
