// What the torture's publishers and subscribers have in common: a bus that comes and goes.
#pragma once

#include "tools/torture/channel.hpp"

#include <shmbus/bus.hpp>

#include <optional>
#include <thread>

namespace shmbus::tools::torture {

/// After so long something is stuck: beyond any stop, and any noise of the machine.
inline constexpr auto patience = std::chrono::seconds(30);

/// No worker takes longer until it sees what else goes on: it waits with all its patience, the last request takes
/// its time, and it is stopped in the middle of that.
inline constexpr auto longest_wait = 2 * patience;

/// So long whoever uses a topic may take to notice that it is removed: far more than he waits for anything.
inline constexpr auto time_to_leave = 2 * longest_wait;

/// Whoever holds a topic exclusively is killed some time; this is beyond any chance that he is not.
inline constexpr auto patience_with_holders = 4 * patience;

[[nodiscard]] inline bool passes(Errc code) noexcept {
    // busy: the daemon does not know yet that whoever held it is dead.
    return code == Errc::no_daemon || code == Errc::disconnected || code == Errc::timed_out ||
           code == Errc::busy;
}

/// The result of a request, which is made again while the daemon is dead or busy; nothing if the topic has
/// been removed, as it may be. `now` says how late it is. @throws Error
template <class Request, class Now = decltype(&Deadline::Clock::now)>
auto insist(bool may_be_removed, Request request, std::chrono::seconds how_long = patience,
            Now now = &Deadline::Clock::now) {
    using Result = std::optional<decltype(request())>;
    constexpr auto pause = std::chrono::milliseconds(10); // the daemon has better things to do
    for (const auto end = now() + how_long;; std::this_thread::sleep_for(pause)) try {
            return Result(request());
        } catch (const Error& error) {
            if (error.code() == Errc::no_such_topic && may_be_removed) return Result();
            if (!passes(error.code()) || now() >= end) throw;
        }
}

inline BusOptions bus_of(const Task& task) { return {.socket = std::string(task.socket.get())}; }

} // namespace shmbus::tools::torture
