// What the torture's publishers and subscribers have in common: a bus that comes and goes.
#pragma once

#include "tools/torture/channel.hpp"

#include <shmbus/bus.hpp>

#include <optional>
#include <thread>

namespace shmbus::tools::torture {

/// After so long something is stuck: beyond any stop, and any noise of the machine.
inline constexpr auto patience = std::chrono::seconds(30);

[[nodiscard]] inline bool passes(Errc code) noexcept {
    // busy: the daemon does not know yet that whoever held it is dead.
    return code == Errc::no_daemon || code == Errc::disconnected || code == Errc::timed_out ||
           code == Errc::busy;
}

/// The result of a request, which is made again while the daemon is dead or busy; nothing if the topic has
/// been removed, as it may be. @throws Error
template <class Request> auto insist(bool may_be_removed, Request request) {
    using Result = std::optional<decltype(request())>;
    constexpr auto pause = std::chrono::milliseconds(10); // the daemon has better things to do
    for (const Deadline end = patience;; std::this_thread::sleep_for(pause)) try {
            return Result(request());
        } catch (const Error& error) {
            if (error.code() == Errc::no_such_topic && may_be_removed) return Result();
            if (!passes(error.code()) || end.passed()) throw;
        }
}

inline BusOptions bus_of(const Task& task) { return {.socket = std::string(task.socket.get())}; }

} // namespace shmbus::tools::torture
