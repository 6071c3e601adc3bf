// The daemon as a process: whether it runs, what it may open, and who would start it again.
#pragma once

#include "tools/doctor/finding.hpp"
#include "tools/doctor/process.hpp"

namespace shmbus::tools::doctor {

struct DaemonFacts {
    Process process; ///< pid 0: there is none, it is dead, or it cannot be seen from here
    std::uint32_t user = 0;
    std::optional<std::uint64_t> most_files =
        {}; ///< nothing: that is not ours to see; likewise below
    std::optional<std::uint64_t> open_files = {};
    std::optional<std::string> program = {}; ///< the path of what it runs, as /proc has it
    Service service = {};
    Process parent = {};         ///< that of --supervise; pid 0: it has none
    bool shares_our_pids = true; ///< a process has the same number there as here
    [[nodiscard]] bool is_known() const noexcept { return process.pid != 0; }
    [[nodiscard]] bool has_parent() const noexcept { return parent.pid != 0; }
    /// Whether nobody answers as a process is stopped.
    [[nodiscard]] bool is_held() const noexcept {
        return process.is_stopped() || (!is_known() && parent.is_stopped());
    }
};

/// `pid` is of whoever listens at the bus's socket, or did last; systemd perhaps.
[[nodiscard]] DaemonFacts look_at_daemon(std::uint32_t pid, const std::string& socket);

/// `memory_topics` is how many topics it has that are in memory alone.
[[nodiscard]] Findings findings_of(const DaemonFacts& facts, std::uint64_t memory_topics);

} // namespace shmbus::tools::doctor
