#include "tools/doctor/units.hpp"

#include "tools/spawn.hpp"

#include <charconv>
#include <fmt/format.h>
#include <sstream>
#include <sys/stat.h>

namespace shmbus::tools::doctor {

using namespace std::chrono_literals;

namespace {

constexpr const char* check = "units";
constexpr std::uint64_t many_restarts = 5;

std::string value(const Properties& unit, const std::string& name) {
    const auto found = unit.find(name);
    return found == unit.end() ? "" : found->second;
}

/// Nothing where it is no number: "infinity", "[not set]".
std::optional<std::uint64_t> number(const Properties& unit, const std::string& name) {
    const auto text = value(unit, name);
    std::uint64_t result = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return result;
}

/// The units of one manager, in what is said of them.
class Report {
  public:
    explicit Report(const UnitFacts& facts) : facts_(facts) {}

    [[nodiscard]] std::string systemctl(const std::string& arguments) const {
        return fmt::format("systemctl {}{}", facts_.is_users ? "--user " : "", arguments);
    }
    [[nodiscard]] std::string log_of(const std::string& unit) const {
        return fmt::format("journalctl {} {} -n 50", facts_.is_users ? "--user -u" : "-u", unit);
    }
    /// What is the same for service and socket.
    void add_state(const Properties& unit) {
        const auto name = value(unit, "Id");
        const auto load = value(unit, "LoadState");
        if (load == "masked")
            add(Severity::error, name + " is masked: nobody can start it",
                systemctl("unmask " + name));
        else if (load != "loaded")
            add(Severity::error, fmt::format("{} cannot be loaded: {}", name, load),
                "systemd-analyze verify " + name);
        if (value(unit, "ActiveState") == "failed")
            add(Severity::error, fmt::format("{} has failed ({})", name, value(unit, "Result")),
                fmt::format(
                    "see why: {}; then {}", log_of(name),
                    systemctl("reset-failed " + name + " && " + systemctl("start " + name))));
        if (value(unit, "NeedDaemonReload") == "yes")
            add(Severity::warning,
                fmt::format("the files of {} have changed since systemd read them", name),
                systemctl("daemon-reload"));
    }
    void add(Severity severity, const std::string& what, const std::string& what_to_do) {
        findings_.push_back({severity, check, what, what_to_do});
    }
    [[nodiscard]] Findings findings() && { return std::move(findings_); }

  private:
    const UnitFacts& facts_;
    Findings findings_;
};

void add_starting(Report& report, const UnitFacts& facts, bool is_there) {
    const auto name = value(facts.socket, "Id");
    const auto enable = report.systemctl("enable --now " + name);
    const auto active = value(facts.socket, "ActiveState");
    if (active == "inactive" && is_there && value(facts.service, "ActiveState") != "active")
        report.add(
            Severity::note,
            fmt::format("the daemon was not started by systemd, and {} is there for that", name),
            "stop the daemon, then " + enable);
    else if (active == "inactive")
        report.add(Severity::warning,
                   name + " is not active: the daemon does not start when somebody connects",
                   enable);
    const auto is_disabled = [](const Properties& unit) {
        return value(unit, "UnitFileState") == "disabled";
    };
    if (is_disabled(facts.socket) && is_disabled(facts.service))
        report.add(Severity::warning,
                   fmt::format("neither {} nor {} is enabled: there is no bus from the next start "
                               "of the host on",
                               name, value(facts.service, "Id")),
                   enable);
}

void add_keeping(Report& report, const Properties& service) {
    const auto name = value(service, "Id");
    const auto most = number(service, "FileDescriptorStoreMax");
    const auto edit = report.systemctl("edit " + name);
    if (most == 0)
        report.add(Severity::warning,
                   fmt::format("{} has FileDescriptorStoreMax=0: what is in memory, and no client "
                               "has mapped, is lost whenever the daemon is started again",
                               name),
                   edit + ", and add [Service] FileDescriptorStoreMax=16384");
    const auto kept = number(service, "NFileDescriptorStore");
    if (most && kept && *most != 0 && *kept > *most - *most / 10)
        report.add(Severity::warning,
                   fmt::format("systemd keeps {} descriptors for the daemon of the {} that "
                               "FileDescriptorStoreMax= of {} allows",
                               *kept, *most, name),
                   edit + fmt::format(", and add [Service] FileDescriptorStoreMax={}", 2 * *most));
}

void add_running(Report& report, const Properties& service) {
    const auto name = value(service, "Id");
    if (const auto restarts = number(service, "NRestarts").value_or(0); restarts != 0)
        report.add(restarts < many_restarts ? Severity::note : Severity::warning,
                   fmt::format("systemd had to start the daemon again {} time{}", restarts,
                               restarts == 1 ? "" : "s"),
                   "see why: " + report.log_of(name));
    const auto most = number(service, "MemoryMax");
    const auto used = number(service, "MemoryCurrent");
    constexpr std::uint64_t mib = 1U << 20U;
    if (most && used && *used > *most - *most / 10)
        report.add(Severity::warning,
                   fmt::format("{} uses {} MiB of the {} MiB of its MemoryMax=: beyond that the "
                               "kernel kills it",
                               name, *used / mib, *most / mib),
                   report.systemctl("edit " + name + ", and raise MemoryMax="));
}

} // namespace

bool UnitFacts::are_installed() const {
    return !service.empty() && value(service, "LoadState") != "not-found";
}

bool UnitFacts::would_be_tried_again() const {
    return value(service, "ActiveState") == "failed" && value(socket, "ActiveState") == "active";
}

bool UnitFacts::run(std::uint32_t pid) const { return number(service, "MainPID") == pid; }

std::map<std::string, Properties> parse_units(const std::string& text) {
    std::map<std::string, Properties> units;
    Properties unit;
    const auto put = [&] {
        if (const auto name = value(unit, "Id"); !name.empty()) units[name] = std::move(unit);
        unit.clear();
    };
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const auto equals = line.find('=');
        if (line.empty())
            put();
        else if (equals != std::string::npos)
            unit[line.substr(0, equals)] = line.substr(equals + 1);
    }
    put();
    return units;
}

UnitsLook look_at_units(const Service& service) {
    struct stat status {};
    const bool is_booted = ::stat("/run/systemd/system", &status) == 0; // sd_booted(3)
    if (!is_booted || service.name.empty()) return {};
    constexpr const char* properties =
        "--property=Id,MainPID,LoadState,ActiveState,UnitFileState,Result,NeedDaemonReload,"
        "NRestarts,"
        "FileDescriptorStoreMax,NFileDescriptorStore,MemoryCurrent,MemoryMax";
    const auto stem = service.name.substr(0, service.name.rfind('.'));
    const auto socket = stem + ".socket";
    std::vector<std::string> command{"systemctl"};
    if (service.is_users) command.emplace_back("--user");
    for (const auto& argument : {std::string("--no-pager"), std::string("show"),
                                 std::string(properties), std::string("--"), service.name, socket})
        command.push_back(argument);
    const auto text = output_of(command, 5s);
    if (!text) return {.in_vain = true};
    auto units = parse_units(*text);
    UnitFacts facts{service.is_users, std::move(units[service.name]), std::move(units[socket])};
    if (value(facts.socket, "LoadState") == "not-found") facts.socket.clear();
    return {.units = std::move(facts)};
}

Findings findings_of(const UnitFacts& facts, const std::optional<Process>& daemon) {
    Report report(facts);
    if (!facts.are_installed()) {
        if (daemon)
            report.add(Severity::note,
                       "this host runs by systemd, and shmbus's units are not there",
                       "meson install -C build puts them into place; without them nobody starts "
                       "the daemon when the host starts");
        return std::move(report).findings();
    }
    report.add_state(facts.service);
    if (!facts.socket.empty()) {
        report.add_state(facts.socket);
        add_starting(report, facts, daemon.has_value());
    }
    // The parent of --supervise keeps everything itself.
    if (!daemon || daemon->parent == 0 || !facts.run(daemon->parent))
        add_keeping(report, facts.service);
    add_running(report, facts.service);
    return std::move(report).findings();
}

} // namespace shmbus::tools::doctor
