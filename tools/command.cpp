#include "tools/command.hpp"

namespace shmbus::tools {

std::string Context::self() const {
    if (!bus.socket.empty()) return "shmbus --socket " + bus.socket;
    if (bus.scope == BusOptions::Scope::user) return "shmbus --user";
    if (bus.scope == BusOptions::Scope::system) return "shmbus --system";
    return "shmbus";
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
