// What goes to stdout and stderr: data to one, everything else to the other.
//
// stdout is written with write(2) from buffers of our own, so that a verb knows what has been
// written before it says so to anybody else (sub acknowledges only then).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shmbus::tools {

/// Writes all of it to stdout.
/// @throws OutputClosed when nobody reads it any more, Interrupted, Failure(failed)
void write_out(std::string_view data);

/// One line on stderr, "shmbus: " before it. Never fails.
void note(std::string_view message) noexcept;

/// Whether to use colour on this descriptor: a terminal that can, and a user who did not say
/// NO_COLOR.
[[nodiscard]] bool colour_wanted(int fd);

/// "1 event", "2 events".
[[nodiscard]] std::string counted(std::uint64_t n, std::string_view noun);

/// Columns that line up; numbers to the right.
class Table {
  public:
    enum class Align { left, right };
    struct Column {
        std::string title;
        Align align = Align::left;
    };

    explicit Table(std::vector<Column> columns);
    /// As many cells as there are columns, printable ASCII.
    void add(std::vector<std::string> cells);
    /// The title line, in bold where there is colour, and the rows.
    [[nodiscard]] std::string text(bool colour) const;

  private:
    [[nodiscard]] std::string line(const std::vector<std::string>& cells) const;
    std::vector<Column> columns_;
    std::vector<std::size_t> widths_;
    std::vector<std::vector<std::string>> rows_;
};

} // namespace shmbus::tools
