// How a verb ends: the documented exit codes, and the one exception that carries one.
//
// A verb that cannot do its job throws Failure with a message for people; the library throws
// shmbus::Error. main() prints either as one line on stderr and leaves with the code. The table of
// codes is in shmbus(1); scripts rely on it.
#pragma once

#include <shmbus/error.hpp>
#include <shmbus/publisher.hpp>

#include <stdexcept>
#include <string>

namespace shmbus::tools {

enum class ExitCode : int {
    done = 0,
    failed = 1,
    usage = 2,
    timed_out = 3, ///< or fewer events than --count
    no_daemon = 4,
    not_found = 5,
    refused = 6, ///< permission, limit, full, held by another, different options
    damaged = 7,
    interrupted = 130,
};

/// The exit code that an error of the library means.
[[nodiscard]] ExitCode exit_code_of(Errc code) noexcept;

/// The exit code of a publish that did not succeed.
[[nodiscard]] ExitCode exit_code_of(PublishOutcome outcome) noexcept;

class Failure : public std::runtime_error {
  public:
    Failure(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    [[nodiscard]] ExitCode code() const noexcept { return code_; }

  private:
    ExitCode code_;
};

/// SIGINT or SIGTERM came: leave with 130 and say nothing. No std::exception, so that nobody
/// mistakes it for trouble.
struct Interrupted {};

/// Whoever read stdout has gone: end as a shell's tools do, by SIGPIPE and without a word.
struct OutputClosed {};

} // namespace shmbus::tools
