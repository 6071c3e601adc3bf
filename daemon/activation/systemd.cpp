#include "daemon/activation/systemd.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <systemd/sd-bus.h>
#include <unistd.h>

namespace shmbus::activation {

namespace {

constexpr const char* name = "org.freedesktop.systemd1";
constexpr const char* path = "/org/freedesktop/systemd1";
constexpr const char* interface = "org.freedesktop.systemd1.Manager";
constexpr std::uint64_t patience_us = 5'000'000;

using Bus = std::unique_ptr<sd_bus, decltype(&sd_bus_flush_close_unref)>;
using Message = std::unique_ptr<sd_bus_message, decltype(&sd_bus_message_unref)>;

/// Frees what it names.
struct BusError {
    sd_bus_error error{};
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&error); }
    [[nodiscard]] bool is(const char* what) const noexcept {
        return sd_bus_error_has_name(&error, what) != 0;
    }
    [[nodiscard]] std::string text(int code) const {
        return error.message != nullptr ? error.message : std::strerror(-code);
    }
};

struct Unit {
    std::string load;
    std::string active;
    std::string object;
};

Outcome failed(const std::string& problem) { return {.problem = problem}; }

Outcome unreachable(Manager manager, int code) {
    const auto what = fmt::format("there is no {} to ask: {}",
                                  manager == Manager::users ? "D-Bus of this user" : "system D-Bus",
                                  std::strerror(-code));
    return {.problem = what, .is_nobody_there = true};
}

/// Whether there is nobody of that name, at a bus that is there.
bool is_unknown(const BusError& error) {
    return error.is(SD_BUS_ERROR_SERVICE_UNKNOWN) || error.is(SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
           error.is("org.freedesktop.DBus.Error.Spawn.ChildExited");
}

/// @returns an error number, or 0
int read_unit(sd_bus* bus, const std::string& unit, Unit& to, BusError& error) {
    sd_bus_message* raw = nullptr;
    int code = sd_bus_call_method(bus, name, path, interface, "ListUnitsByNames", &error.error,
                                  &raw, "as", 1U, unit.c_str());
    if (code < 0) return code;
    const Message reply(raw, sd_bus_message_unref);
    code = sd_bus_message_enter_container(raw, 'a', "(ssssssouso)");
    if (code < 0) return code;
    const char* load = nullptr;
    const char* active = nullptr;
    const char* object = nullptr;
    code = sd_bus_message_read(raw, "(ssssssouso)", nullptr, nullptr, &load, &active, nullptr,
                               nullptr, &object, nullptr, nullptr, nullptr);
    if (code <= 0) return code < 0 ? code : -ENODATA;
    to = {load, active, object};
    return 0;
}

/// "failed (exit-code)", where systemd says so.
std::string state_of(sd_bus* bus, const Unit& unit) {
    if (unit.active != "failed") return unit.active;
    char* result = nullptr;
    if (sd_bus_get_property_string(bus, name, unit.object.c_str(),
                                   "org.freedesktop.systemd1.Service", "Result", nullptr,
                                   &result) < 0)
        return unit.active;
    const std::unique_ptr<char, decltype(&std::free)> owner(result, std::free);
    return fmt::format("failed ({})", result);
}

Outcome ask(sd_bus* bus, Manager manager, const std::string& unit) {
    BusError error;
    Unit now;
    int code = read_unit(bus, unit, now, error);
    if (code < 0 && is_unknown(error)) return unreachable(manager, -ENXIO);
    if (code < 0) return failed(error.text(code));
    if (now.load == "not-found")
        return failed("there is no such unit: write it, then systemctl daemon-reload");
    if (now.load != "loaded")
        return failed(fmt::format("it is {}: see systemctl status {}", now.load, unit));
    Outcome outcome{.state = state_of(bus, now)};
    if (outcome.state == "activating") return outcome;
    code = sd_bus_call_method(bus, name, path, interface, "StartUnit", &error.error, nullptr, "ss",
                              unit.c_str(), "replace");
    if (code >= 0) return outcome;
    outcome.problem = error.text(code);
    if (error.is(SD_BUS_ERROR_ACCESS_DENIED) ||
        error.is(SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
        outcome.problem += fmt::format(
            "; user {} may not start it: systemctl start shmbusd-activate.socket, or allow it by "
            "a rule of polkit (see [ACTIVATE] in shmbusd.conf(5))",
            ::geteuid());
    return outcome;
}

} // namespace

Outcome start_unit(Manager manager, const std::string& unit) noexcept {
    try {
        sd_bus* raw = nullptr;
        const int code =
            manager == Manager::users ? sd_bus_open_user(&raw) : sd_bus_open_system(&raw);
        const Bus bus(raw, sd_bus_flush_close_unref);
        if (code < 0) return unreachable(manager, code);
        sd_bus_set_method_call_timeout(raw, patience_us);
        return ask(raw, manager, unit);
    } catch (const std::exception& e) {
        return failed(e.what());
    }
}

} // namespace shmbus::activation
