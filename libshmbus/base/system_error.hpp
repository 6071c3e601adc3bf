// From errno to Error, with what was being done and what helps.
#pragma once

#include "shmbus/error.hpp"

#include <string>

namespace shmbus::base {

/// Throws Error for the current errno: limit for memory and descriptors that ran out, permission
/// for EPERM and EACCES, system for the rest.
[[noreturn]] void throw_system(const std::string& doing);
[[noreturn]] void throw_system(const std::string& doing, int error);

} // namespace shmbus::base
