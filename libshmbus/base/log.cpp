#include "base/log.hpp"

#include <mutex>
#include <utility>

namespace shmbus {

namespace {

struct Log {
    std::mutex mutex;
    LogHandler handler;
};

/// Never destroyed: the library's threads may outlive the statics of a program that exits.
Log& the_log() {
    static auto* const log = new Log;
    return *log;
}

} // namespace

const char* name_of(LogLevel level) noexcept {
    switch (level) {
    case LogLevel::error: return "error";
    case LogLevel::warning: return "warning";
    case LogLevel::info: return "info";
    }
    return "unknown";
}

void set_log_handler(LogHandler handler) {
    auto& log = the_log();
    const std::lock_guard lock(log.mutex);
    std::swap(log.handler, handler);
}

void base::log(LogLevel level, std::string_view line) noexcept {
    auto& log = the_log();
    try {
        const std::lock_guard lock(log.mutex);
        if (log.handler) log.handler(level, line);
    } catch (...) { // NOLINT(bugprone-empty-catch): as documented; there is nowhere to tell of it
    }
}

} // namespace shmbus
