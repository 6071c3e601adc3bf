// What a daemon has open and uses, from /proc: it must not grow with what clients do and suffer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>

namespace shmbus::tools::torture {

struct Usage {
    std::uint64_t descriptors = 0;
    std::uint64_t memory_kib = 0; // resident, not shared
};

/// Nothing if there is no such process any more.
[[nodiscard]] std::optional<Usage> usage_of(pid_t pid);

/// What `now` has that `before` had not, beyond the allowance; empty: nothing.
[[nodiscard]] std::string growth(const Usage& before, const Usage& now, const Usage& allowance);

} // namespace shmbus::tools::torture
