// Shared memory as a sealed memfd, and the checks before one from somebody else is mapped.
//
// A memfd is born with mode 0777: whoever receives a descriptor of it opened read-only could open
// it again for writing through /proc/self/fd. So the mode is set to 0600 before the first
// descriptor leaves the process; for another user the way through /proc is closed then. Size and
// seals are sealed, so nobody can make a mapping of somebody else fault by truncating the file.
#pragma once

#include "base/fd.hpp"

#include <cstdint>
#include <string>

namespace shmbus::base {

/// A new memfd of `size` bytes, the first `allocated` of which have memory behind them now (the
/// rest when it is touched). Sealed against resizing and further seals, mode 0600.
/// @throws Error(limit) when memory or descriptors run out, Error(system)
[[nodiscard]] Fd make_memfd(const std::string& name, std::uint64_t size, std::uint64_t allocated);

/// Another descriptor of the same memory, opened read-only. @throws Error(limit), Error(system)
[[nodiscard]] Fd read_only_twin(const Fd& memfd);
/// Another one, opened for both, whatever this one may do: for the memory's owner.
[[nodiscard]] Fd writable_twin(const Fd& memfd);

/// Whether both are of the same memory.
[[nodiscard]] bool is_same_memory(const Fd& one, const Fd& other) noexcept;

/// The size of a descriptor somebody handed over, if it is a memfd sealed as make_memfd() does.
/// @throws Error(damaged) otherwise; `what` names it in the message
[[nodiscard]] std::uint64_t sealed_size(const Fd& memfd, const std::string& what);

} // namespace shmbus::base
