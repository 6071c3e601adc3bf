// What the library has to say that no caller is waiting for.
//
// A failure that a caller can see is that caller's: an outcome or an Error, and never logged besides.
// What remains is little: the connection to the daemon went away or came back, what was open could not
// be taken up again then, a group could not set an event aside, and what the control protocol's machinery
// complains about. It goes to one handler; without one it goes nowhere. The library never writes to stdout
// or stderr by itself.
#pragma once

#include "shmbus/api.hpp"

#include <cstdint>
#include <functional>
#include <string_view>

namespace shmbus {

/// As syslog(3) counts them.
enum class LogLevel : std::uint8_t {
    error = 3,
    warning = 4,
    info = 6,
};

[[nodiscard]] SHMBUS_API const char* name_of(LogLevel level) noexcept;

/// One line, without its newline; the view ends with the call.
using LogHandler = std::function<void(LogLevel, std::string_view)>;

/// From now on the library's lines go to `handler`; an empty one drops them. Returns when no call of
/// the handler before is under way.
///
/// The handler is called from the library's own threads and from those that receive, one call at a time. It
/// must not block for long, nor call set_log_handler(); what it throws is dropped.
/// Thread safety: may be called from any thread.
SHMBUS_API void set_log_handler(LogHandler handler);

} // namespace shmbus
