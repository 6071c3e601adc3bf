#include "tools/command.hpp"

#include "tools/interrupt.hpp"

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

void add_unavailable_option(CLI::App& app, const std::string& name, const std::string& reason) {
    app.add_option_function<std::string>(
           name, [=](const std::string&) { throw CLI::ValidationError(name, reason); })
        ->group("");
}

void add_unavailable_flag(CLI::App& app, const std::string& name, const std::string& reason) {
    app.add_flag_callback(name, [=] { throw CLI::ValidationError(name, reason); })->group("");
}

} // namespace shmbus::tools
