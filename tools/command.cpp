#include "tools/command.hpp"

#include "tools/interrupt.hpp"

#include <chrono>
#include <fmt/format.h>

namespace shmbus::tools {

using namespace std::chrono_literals;

std::string Context::self() const {
    if (!bus.socket.empty()) return "shmbus --socket " + bus.socket;
    if (bus.scope == BusOptions::Scope::user) return "shmbus --user";
    if (bus.scope == BusOptions::Scope::system) return "shmbus --system";
    return "shmbus";
}

Bus connect(const BusOptions& options) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + 300ms; // many times what a daemon takes to listen
    while (true) {
        try {
            return Bus(options);
        } catch (const Error& error) {
            if (error.code() != Errc::no_daemon || Clock::now() >= end) throw;
        }
        sleep_until(Clock::now() + 5ms);
    }
}

Failure no_topic(std::string_view topic, const std::string& remedy) {
    return {ExitCode::not_found, fmt::format("there is no topic '{}'; {}", topic, remedy)};
}

Failure closed(std::string_view topic, const Error& error) {
    if (error.code() == Errc::no_such_topic)
        return {ExitCode::not_found, fmt::format("topic '{}' was removed", topic)};
    return {exit_code_of(error.code()),
            fmt::format("topic '{}' was closed: its daemon stopped ({})", topic, error.what())};
}

std::string how_to_create(const Context& context, std::string_view topic) {
    return fmt::format("to create it: {} topic create {}", context.self(), topic);
}

std::string how_to_list(const Context& context) {
    return fmt::format("to see what there is: {} topic ls", context.self());
}

} // namespace shmbus::tools
