// The daemon's log: one line per event, to stderr.
//
// Where stderr is the journal (JOURNAL_STREAM), a line begins with its priority as <N>; elsewhere
// with the daemon's name. Whatever a line is made of, it stays one line: peers choose some of the
// words in it.
#pragma once

#include <cstdint>
#include <string_view>

namespace shmbus::system {

enum class Level : std::uint8_t { // as syslog(3) counts
    error = 3,
    warning = 4,
    notice = 5,
    info = 6,
};

void log(Level level, std::string_view line);

/// For events that a peer can cause as often as it likes: at most 20 lines in 10 seconds, and a
/// line that says how many were left out.
class ThrottledLog {
  public:
    void log(Level level, std::string_view line);

  private:
    std::uint64_t window_began_ns_ = 0;
    unsigned lines_ = 0;
    unsigned left_out_ = 0;
};

} // namespace shmbus::system
