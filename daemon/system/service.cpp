#include "daemon/system/service.hpp"

#include "base/clock.hpp"
#include "base/system_error.hpp"
#include "daemon/system/log.hpp"
#include "daemon/system/notify.hpp"

#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <string>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace shmbus::system {

void announce_ready() {
    constexpr std::string_view line = "ready\n";
    if (!notify("READY=1")) (void)!::write(STDERR_FILENO, line.data(), line.size());
}

void announce_reloading() {
    // systemd takes it for an answer to its signal only if it is younger.
    notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", base::monotonic_ns() / 1'000));
}

void announce_reloaded() { notify("READY=1"); }

void announce_stopping() { notify("STOPPING=1"); }

void announce_well() { notify("WATCHDOG=1"); }

std::optional<std::chrono::microseconds> watchdog_time() {
    std::uint64_t allowed_us = 0;
    const int rc = ::sd_watchdog_enabled(0, &allowed_us);
    if (rc < 0) log(Level::warning, std::string("looking for a watchdog: ") + std::strerror(-rc));
    if (rc <= 0) return std::nullopt;
    return std::chrono::microseconds(allowed_us);
}

void announce_status(std::string_view line) { notify("STATUS=" + std::string(line)); }

std::size_t descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) base::throw_system("getrlimit");
    return limit.rlim_cur;
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log(Level::warning, std::string("raising the descriptor limit: ") + std::strerror(errno));
}

} // namespace shmbus::system
