#include "tools/doctor/host.hpp"

#include "tools/doctor/process.hpp"
#include "tools/units.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace shmbus::tools::doctor {

namespace {

constexpr const char* check = "host";
constexpr const char* clock_directory = "/sys/devices/system/clocksource/clocksource0/";

/// Calls that make nothing, or what is gone at once.
std::vector<std::string> calls_that_are_missing() {
    std::vector<std::string> missing;
    const auto look = [&](const char* name, bool is_there) {
        if (!is_there) missing.push_back(fmt::format("{} ({})", name, std::strerror(errno)));
    };
    const int memory = ::memfd_create("shmbus-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    look("memfd_create", memory >= 0);
    ::close(memory);
    const auto process = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
    look("pidfd_open", process >= 0);
    ::close(process);
    // Nothing to wait for is refused as such.
    look("futex_waitv", ::syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, CLOCK_MONOTONIC) >= 0 ||
                            errno == EINVAL);
    return missing;
}

std::string line_of(const std::string& path) {
    auto text = contents_of(path);
    return text.substr(0, text.find('\n'));
}

std::uint64_t bytes_in_meminfo(const std::string& text, const std::string& name) {
    const auto line = text.find(name + ":");
    std::uint64_t kib = 0;
    if (line != std::string::npos) std::istringstream(text.substr(line + name.size() + 1)) >> kib;
    return kib * 1024;
}

void add_clock(Findings& findings, const HostFacts& facts) {
    if (facts.clock != "hpet" && facts.clock != "acpi_pm" && facts.clock != "jiffies") return;
    const bool has_better = (' ' + facts.clocks + ' ').find(" tsc ") != std::string::npos;
    findings.push_back(
        {Severity::warning, check,
         fmt::format("the kernel keeps time by {}: each publish asks for the time, and that takes "
                     "a microsecond or more",
                     facts.clock),
         has_better ? fmt::format("as root: echo tsc > {}current_clocksource", clock_directory)
                    : "see why the kernel gave up tsc: journalctl -k -g -i clocksource"});
}

void add_memory(Findings& findings, const HostFacts& facts, std::uint64_t topics_memory) {
    if (facts.memory == 0) return;
    if (facts.available_memory < facts.memory / 20)
        findings.push_back(
            {Severity::warning, check,
             fmt::format("the host has {} of {} of memory left: new topics are refused, and the "
                         "kernel may kill whoever touches more of a pool",
                         format_size(facts.available_memory), format_size(facts.memory)),
             "see who has it: ps ax --sort -rss -o pid,rss,cmd | head"});
    if (topics_memory > facts.memory)
        findings.push_back({Severity::warning, check,
                            fmt::format("topics may take {} once their pools are full, and the "
                                        "host has {} of memory",
                                        format_size(topics_memory), format_size(facts.memory)),
                            "make topics with a smaller --pool, or remove some"});
}

} // namespace

std::string hiding_option(const std::string& mounts) {
    std::string found; // the last one counts: it is mounted over the others
    std::istringstream lines(mounts);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string device, place, kind, options;
        words >> device >> place >> kind >> options;
        if (place != "/proc") continue;
        found.clear();
        std::istringstream each(options);
        for (std::string option; std::getline(each, option, ',');)
            if (option.starts_with("hidepid=") && option != "hidepid=0" && option != "hidepid=off")
                found = option;
    }
    return found;
}

HostFacts look_at_host() {
    HostFacts facts;
    utsname names{};
    if (::uname(&names) == 0) facts.kernel = names.release;
    facts.missing_calls = calls_that_are_missing();
    facts.clock = line_of(std::string(clock_directory) + "current_clocksource");
    facts.clocks = line_of(std::string(clock_directory) + "available_clocksource");
    facts.hidden_processes = hiding_option(contents_of("/proc/self/mounts"));
    const auto memory = contents_of("/proc/meminfo");
    facts.memory = bytes_in_meminfo(memory, "MemTotal");
    facts.available_memory = bytes_in_meminfo(memory, "MemAvailable");
    return facts;
}

Findings findings_of(const HostFacts& facts, std::uint64_t topics_memory) {
    Findings findings;
    for (const auto& call : facts.missing_calls)
        findings.push_back(
            {Severity::error, check,
             fmt::format("the system call {} cannot be made here (Linux {})", call, facts.kernel),
             "run Linux 5.16 or later; in a container let its seccomp filter allow "
             "the call"});
    add_clock(findings, facts);
    if (!facts.hidden_processes.empty())
        findings.push_back({Severity::warning, check,
                            fmt::format("/proc is mounted with {}: a daemon that is not root's "
                                        "does not see who its clients are",
                                        facts.hidden_processes),
                            "as root: mount -o remount,hidepid=0 /proc"});
    add_memory(findings, facts, topics_memory);
    return findings;
}

} // namespace shmbus::tools::doctor
