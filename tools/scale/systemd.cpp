#include "tools/failure.hpp"
#include "tools/scale/manager.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

namespace shmbus::tools::scale {

namespace {

constexpr const char* name = "org.freedesktop.systemd1";
constexpr const char* path = "/org/freedesktop/systemd1";
constexpr const char* interface = "org.freedesktop.systemd1.Manager";
constexpr std::uint64_t patience_us = 10'000'000;
constexpr const char* row = "(ssssssouso)"; // of ListUnitsByNames

using State = Instance::State;
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
    std::string name;
    std::string load;
    std::string active;
    std::string object;
};

State state_of(const std::string& active) {
    if (active == "active" || active == "reloading") return State::running;
    if (active == "activating") return State::starting;
    if (active == "deactivating") return State::stopping;
    return active == "failed" ? State::failed : State::ended;
}

class Systemd final : public Manager {
  public:
    explicit Systemd(bool is_users) : is_users_(is_users) {}
    std::vector<Instance> look(const std::vector<std::string>& units) override;
    void start(const std::string& unit) override { order("StartUnit", unit); }
    void stop(const std::string& unit) override { order("StopUnit", unit); }

  private:
    sd_bus* bus();
    [[noreturn]] void lose(const std::string& why);
    void check(int code, const BusError& error);
    void check(const Unit& unit) const;
    std::vector<Unit> list(const std::vector<std::string>& units);
    std::string result_of(const Unit& unit);
    void order(const char* method, const std::string& unit);

    const bool is_users_;
    std::unique_ptr<sd_bus, decltype(&sd_bus_flush_close_unref)> bus_{nullptr,
                                                                      sd_bus_flush_close_unref};
};

sd_bus* Systemd::bus() {
    if (bus_) return bus_.get();
    sd_bus* raw = nullptr;
    const int code = is_users_ ? sd_bus_open_user(&raw) : sd_bus_open_system(&raw);
    if (code < 0)
        throw Unreachable(fmt::format("there is no {} by which systemd can be asked: {}",
                                      is_users_ ? "D-Bus of this user (package dbus-user-session)"
                                                : "system D-Bus",
                                      std::strerror(-code)));
    bus_.reset(raw);
    sd_bus_set_method_call_timeout(raw, patience_us);
    return raw;
}

void Systemd::lose(const std::string& why) {
    bus_.reset();
    throw Unreachable("systemd does not answer: " + why);
}

/// What is not an answer of systemd's ends the connection; the next call makes another.
void Systemd::check(int code, const BusError& error) {
    if (code >= 0) return;
    constexpr std::string_view own = "System.Error."; // sd-bus's, where it got no answer
    const bool is_answered =
        error.error.name != nullptr && !std::string_view(error.error.name).starts_with(own) &&
        !error.is(SD_BUS_ERROR_NO_REPLY) && !error.is(SD_BUS_ERROR_TIMEOUT) &&
        !error.is(SD_BUS_ERROR_DISCONNECTED) && !error.is(SD_BUS_ERROR_SERVICE_UNKNOWN) &&
        !error.is(SD_BUS_ERROR_NAME_HAS_NO_OWNER);
    if (!is_answered) lose(error.text(code));
    if (error.is(SD_BUS_ERROR_ACCESS_DENIED) ||
        error.is(SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
        throw Failure(
            ExitCode::refused,
            fmt::format("systemd refuses: {}; be root, or have a rule of polkit that lets "
                        "user {} manage these units",
                        error.text(code), ::geteuid()));
    throw Refused(error.text(code));
}

void Systemd::check(const Unit& unit) const {
    if (unit.load == "loaded") return;
    const char* const user = is_users_ ? "--user " : "";
    if (unit.load == "not-found")
        throw Failure(ExitCode::not_found,
                      fmt::format("there is no unit {}: write its template, then systemctl "
                                  "{}daemon-reload",
                                  unit.name, user));
    throw Failure(ExitCode::refused, fmt::format("unit {} is {}: see systemctl {}status {}",
                                                 unit.name, unit.load, user, unit.name));
}

std::vector<Unit> Systemd::list(const std::vector<std::string>& units) {
    sd_bus_message* raw = nullptr;
    int code =
        sd_bus_message_new_method_call(bus(), &raw, name, path, interface, "ListUnitsByNames");
    if (code < 0) lose(std::strerror(-code));
    const Message call(raw, sd_bus_message_unref);
    std::vector<char*> names;
    names.reserve(units.size() + 1);
    for (const auto& unit : units) names.push_back(const_cast<char*>(unit.c_str()));
    names.push_back(nullptr);
    code = sd_bus_message_append_strv(raw, names.data());
    if (code < 0) lose(std::strerror(-code));
    BusError error;
    code = sd_bus_call(bus(), raw, patience_us, &error.error, &raw);
    check(code, error);
    const Message reply(raw, sd_bus_message_unref);
    std::vector<Unit> found;
    code = sd_bus_message_enter_container(raw, 'a', row);
    const char* id = nullptr;
    const char* load = nullptr;
    const char* active = nullptr;
    const char* object = nullptr;
    while (code >= 0 &&
           (code = sd_bus_message_read(raw, row, &id, nullptr, &load, &active, nullptr, nullptr,
                                       &object, nullptr, nullptr, nullptr)) > 0)
        found.push_back({id, load, active, object});
    if (code < 0 || found.size() != units.size()) lose("it answers something else");
    return found;
}

std::string Systemd::result_of(const Unit& unit) {
    char* result = nullptr;
    if (sd_bus_get_property_string(bus(), name, unit.object.c_str(),
                                   "org.freedesktop.systemd1.Service", "Result", nullptr,
                                   &result) < 0)
        return "it failed";
    const std::unique_ptr<char, decltype(&std::free)> owner(result, std::free);
    return fmt::format("it failed ({}): see journalctl {} {}", result,
                       is_users_ ? "--user -u" : "-u", unit.name);
}

/// systemd lists each unit once, in an order of its own.
std::vector<Instance> Systemd::look(const std::vector<std::string>& units) {
    const auto found = list(units);
    std::vector<Instance> instances;
    for (const auto& wanted : units) {
        for (const auto& unit : found) {
            if (unit.name != wanted) continue;
            check(unit);
            Instance instance{.state = state_of(unit.active)};
            if (instance.state == State::failed) instance.result = result_of(unit);
            instances.push_back(std::move(instance));
        }
    }
    if (instances.size() != units.size()) lose("it knows these units by other names");
    return instances;
}

void Systemd::order(const char* method, const std::string& unit) {
    BusError error;
    const int code = sd_bus_call_method(bus(), name, path, interface, method, &error.error, nullptr,
                                        "ss", unit.c_str(), "replace");
    check(code, error);
}

} // namespace

std::unique_ptr<Manager> systemd(bool is_users) { return std::make_unique<Systemd>(is_users); }

} // namespace shmbus::tools::scale
