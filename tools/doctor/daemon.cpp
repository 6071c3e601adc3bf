#include "tools/doctor/daemon.hpp"

#include "tools/output.hpp"
#include "tools/torture/usage.hpp"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sys/stat.h>

namespace shmbus::tools::doctor {

namespace fs = std::filesystem;

namespace {

constexpr const char* check = "daemon";
constexpr std::string_view program_name = "shmbusd";
constexpr std::string_view deleted = " (deleted)"; // how /proc marks what is not there any more

/// A tenth of it is left at most.
bool is_nearly(std::uint64_t used, std::uint64_t most) noexcept { return used > most - most / 10; }

std::string how_to_restart(const DaemonFacts& facts) {
    if (!facts.service.name.empty())
        return fmt::format("systemctl {}restart {}", facts.service.is_users ? "--user " : "",
                           facts.service.name);
    return fmt::format("kill {}; {}", facts.process.pid,
                       facts.has_parent() ? "and start it anew with shmbusd --supervise"
                                          : "and start it again");
}

std::string how_to_replace(const DaemonFacts& facts) {
    // A parent starts what is at the program's path by then, and keeps what is shared with clients.
    return facts.has_parent() ? fmt::format("kill -KILL {}", facts.process.pid)
                              : how_to_restart(facts);
}

/// None if it is another program's.
Process shmbusd_of(std::uint32_t pid) {
    const auto process = pid == 0 ? std::nullopt : process_of(pid);
    return process && process->command == program_name ? *process : Process();
}

/// Whether it knows processes by the numbers that they have here. One that is dead did, as it has one here.
bool has_our_numbers(std::uint32_t pid) {
    const auto status = contents_of(fmt::format("/proc/{}/status", pid));
    return pid != 0 && parse_namespaces(status).value_or(1) == 1;
}

bool has_open(std::uint32_t pid, const std::string& what) {
    std::error_code error;
    fs::directory_iterator it(fmt::format("/proc/{}/fd", pid), error);
    for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
        std::error_code gone;
        if (fs::read_symlink(it->path(), gone) == what) return true;
    }
    return false;
}

/// The stopped shmbusd that keeps this socket for a daemon to come; none if that is not ours to see.
Process stopped_keeper_of(const std::string& path) {
    std::ifstream sockets("/proc/net/unix");
    const auto inode = listener_in(sockets, path);
    if (inode.empty()) return {};
    std::error_code error;
    fs::directory_iterator it("/proc", error);
    for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
        const auto pid = std::strtoul(it->path().filename().c_str(), nullptr, 10);
        auto process = shmbusd_of(static_cast<std::uint32_t>(pid));
        if (process.is_stopped() && has_open(process.pid, "socket:[" + inode + "]")) return process;
    }
    return {};
}

Findings findings_of_parent(const DaemonFacts& facts) {
    if (!facts.parent.is_stopped()) return {};
    const auto pid = facts.parent.pid;
    return {{Severity::error, check,
             facts.is_known()
                 ? fmt::format("the parent of the daemon (pid {}) is stopped, by SIGSTOP or a "
                               "debugger: nobody keeps what the daemon shares with clients, or "
                               "starts it again when it dies",
                               pid)
                 : fmt::format("the daemon is dead, and its parent (pid {}), which would start it "
                               "again, is stopped, by SIGSTOP or a debugger",
                               pid),
             fmt::format("kill -CONT {}", pid)}};
}

} // namespace

DaemonFacts look_at_daemon(std::uint32_t pid, const std::string& socket) {
    DaemonFacts facts;
    const auto process = shmbusd_of(pid);
    const bool is_there = process.pid != 0 && !process.is_dead();
    facts.shares_our_pids = has_our_numbers(pid);
    facts.parent = shmbusd_of(process.parent);
    if (!facts.has_parent() && !is_there) facts.parent = stopped_keeper_of(socket);
    if (!is_there) return facts;
    facts.process = process;
    const std::string proc = "/proc/" + std::to_string(pid);
    struct stat status {};
    if (::stat(proc.c_str(), &status) == 0) facts.user = status.st_uid;
    facts.most_files = parse_descriptor_limit(contents_of(proc + "/limits"));
    if (const auto usage = torture::usage_of(static_cast<pid_t>(pid)))
        facts.open_files = usage->descriptors;
    std::error_code hidden;
    const auto program = fs::read_symlink(proc + "/exe", hidden);
    if (!hidden) facts.program = program.string();
    facts.service = parse_service(contents_of(proc + "/cgroup"));
    return facts;
}

Findings findings_of(const DaemonFacts& facts, std::uint64_t memory_topics) {
    Findings findings = findings_of_parent(facts);
    if (!facts.is_known()) return findings;
    const auto pid = facts.process.pid;
    if (facts.process.is_stopped())
        findings.push_back({Severity::error, check,
                            fmt::format("the daemon (pid {}) is stopped, by SIGSTOP or a debugger: "
                                        "it answers nobody",
                                        pid),
                            fmt::format("kill -CONT {}", pid)});
    if (facts.open_files && facts.most_files && is_nearly(*facts.open_files, *facts.most_files))
        findings.push_back(
            {Severity::warning, check,
             fmt::format("the daemon has {} files open, and may have {}: it is about to refuse "
                         "topics and clients",
                         *facts.open_files, *facts.most_files),
             "raise its limit (LimitNOFILE= of its unit, or ulimit -n), then " +
                 how_to_restart(facts)});
    if (facts.program && facts.program->ends_with(deleted))
        findings.push_back({Severity::warning, check,
                            fmt::format("the daemon (pid {}) runs a program that has been replaced "
                                        "since: {}",
                                        pid, *facts.program),
                            how_to_replace(facts)});
    if (memory_topics != 0 && !facts.has_parent() && facts.service.name.empty())
        findings.push_back(
            {Severity::note, check,
             fmt::format("nobody keeps the memory of {} should the daemon be killed: what no "
                         "client has mapped is lost then",
                         counted(memory_topics, "topic")),
             "run it by systemd (shmbusd.socket), or as shmbusd --supervise"});
    return findings;
}

} // namespace shmbus::tools::doctor
