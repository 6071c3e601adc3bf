#include "tools/failure.hpp"

namespace shmbus::tools {

ExitCode exit_code_of(Errc code) noexcept {
    switch (code) {
    case Errc::bad_argument: return ExitCode::usage;
    case Errc::no_daemon:
    case Errc::disconnected: return ExitCode::no_daemon;
    case Errc::no_such_topic:
    case Errc::no_such_subscription: return ExitCode::not_found;
    case Errc::topic_exists:
    case Errc::subscription_exists:
    case Errc::different_options:
    case Errc::busy:
    case Errc::permission:
    case Errc::limit: return ExitCode::refused;
    case Errc::timed_out: return ExitCode::timed_out;
    case Errc::damaged: return ExitCode::damaged;
    case Errc::unsupported:
    case Errc::incompatible:
    case Errc::system: return ExitCode::failed;
    }
    return ExitCode::failed;
}

ExitCode exit_code_of(PublishOutcome outcome) noexcept {
    switch (outcome) {
    case PublishOutcome::published:
    case PublishOutcome::duplicate: return ExitCode::done;
    case PublishOutcome::timed_out: return ExitCode::timed_out;
    case PublishOutcome::full:
    case PublishOutcome::pool_full:
    case PublishOutcome::closed:
    case PublishOutcome::too_large: return ExitCode::refused;
    case PublishOutcome::bad_attributes: return ExitCode::usage;
    case PublishOutcome::interrupted: return ExitCode::interrupted;
    case PublishOutcome::damaged: return ExitCode::damaged;
    case PublishOutcome::revoked: return ExitCode::failed;
    }
    return ExitCode::failed;
}

} // namespace shmbus::tools
