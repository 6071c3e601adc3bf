// The daemon's log: one line per event.
//
// Where stderr is the journal (JOURNAL_STREAM), a line goes there as a message with fields that can be searched
// for; elsewhere to stderr, after the daemon's name. Whatever a line is made of, it stays one line: peers choose
// some of the words in it.
#pragma once

#include "shmbus/types.hpp"

#include <cstdint>
#include <string_view>
#include <sys/types.h>

namespace shmbus::system {

enum class Level : std::uint8_t { // as syslog(3) counts
    error = 3,
    warning = 4,
    notice = 5,
    info = 6,
};

/// One that stands in messages.hpp.
struct Message {
    std::string_view id; // of the journal: 32 hexadecimal digits
    Level level;
};

/// What a message is about, as far as it is about such a thing: SHMBUS_TOPIC=, SHMBUS_SEQ= and so on. Of a process
/// the journal gets its unit, too, if it still runs.
struct About {
    std::string_view topic = {};
    std::string_view subscription = {};
    Sequence sequence = 0;
    std::uint32_t pid = 0;
    uid_t uid = 0; // of that process
};

void log(Level level, std::string_view line);
void log(const Message& message, const About& about, std::string_view line);

/// For events that a peer can cause as often as it likes: at most 20 lines in 10 seconds, and a
/// line that says how many were left out.
class ThrottledLog {
  public:
    void log(Level level, std::string_view line);
    void log(const Message& message, const About& about, std::string_view line);

  private:
    bool has_room();
    std::uint64_t window_began_ns_ = 0;
    unsigned lines_ = 0;
    unsigned left_out_ = 0;
};

} // namespace shmbus::system
