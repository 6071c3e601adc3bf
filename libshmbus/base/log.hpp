// The library's own lines, on their way to the handler that shmbus/log.hpp tells of.
#pragma once

#include "shmbus/log.hpp"

#include <string_view>

namespace shmbus::base {

void log(LogLevel level, std::string_view line) noexcept;

} // namespace shmbus::base
