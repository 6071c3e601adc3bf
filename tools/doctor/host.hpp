// What the bus needs of kernel and host.
#pragma once

#include "tools/doctor/finding.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace shmbus::tools::doctor {

struct HostFacts {
    std::string kernel;                     ///< "6.1.0-18-amd64"
    std::vector<std::string> missing_calls; ///< "futex_waitv (Function not implemented)"
    std::string clock;            ///< by what the kernel keeps time; empty: it does not say
    std::string clocks;           ///< by what it could, separated by blanks
    std::string hidden_processes; ///< the option of /proc that hides them, "hidepid=2"
    std::uint64_t memory = 0;     ///< of the host; 0: /proc does not say
    std::uint64_t available_memory = 0;
};

[[nodiscard]] HostFacts look_at_host();

/// `topics_memory` is what all topics may take, with their pools.
[[nodiscard]] Findings findings_of(const HostFacts& facts, std::uint64_t topics_memory);

/// The option of a mounted /proc that hides processes, in the text of /proc/self/mounts; empty: none.
[[nodiscard]] std::string hiding_option(const std::string& mounts);

} // namespace shmbus::tools::doctor
