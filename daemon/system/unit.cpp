#include "daemon/system/unit.hpp"

#include <cstdlib>
#include <memory>
#include <systemd/sd-login.h>

namespace shmbus::system {

std::string unit_of(pid_t pid) {
    char* unit = nullptr;
    if (::sd_pid_get_user_unit(pid, &unit) < 0 && ::sd_pid_get_unit(pid, &unit) < 0) return {};
    const std::unique_ptr<char, decltype(&std::free)> owner(unit, std::free);
    return unit;
}

} // namespace shmbus::system
