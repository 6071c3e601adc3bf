// The daemon as a process: whether it runs, what it may open, and who would start it again.
#pragma once

#include "tools/doctor/finding.hpp"
#include "tools/doctor/process.hpp"

namespace shmbus::tools::doctor {

struct DaemonFacts {
    Process process; ///< pid 0: there is none, or it cannot be seen from here
    std::uint32_t user = 0;
    std::optional<std::uint64_t> most_files =
        {}; ///< nothing: that is not ours to see; likewise below
    std::optional<std::uint64_t> open_files = {};
    std::optional<std::string> program = {}; ///< the path of what it runs, as /proc has it
    Service service = {};
    bool has_parent = false; ///< that of --supervise
    [[nodiscard]] bool is_known() const noexcept { return process.pid != 0; }
};

/// `pid` is of whoever listens at the bus's socket, systemd perhaps.
[[nodiscard]] DaemonFacts look_at_daemon(std::uint32_t pid);

/// `memory_topics` is how many topics it has that are in memory alone.
[[nodiscard]] Findings findings_of(const DaemonFacts& facts, std::uint64_t memory_topics);

} // namespace shmbus::tools::doctor
