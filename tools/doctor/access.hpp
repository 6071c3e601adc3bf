// Whether the daemon lets this user in, and speaks the same language.
#pragma once

#include "tools/doctor/finding.hpp"

#include <shmbus/bus.hpp>

#include <optional>
#include <set>
#include <string>

namespace shmbus::tools::doctor {

/// The user that asks.
struct User {
    std::uint32_t id = 0;
    std::string name = {}; ///< empty: the host has no name for it
    /// Groups that the host says it is in, and that this process has not: it was started before.
    std::set<std::string> groups_to_come = {};
};

/// Of this process.
[[nodiscard]] User current_user();

struct Refusal {
    Errc code;
    std::string message;
};

/// What it means, whoever asks.
[[nodiscard]] Finding finding_of(const Refusal& refusal);

/// What became of it when the tool said hello.
struct Greeting {
    std::optional<Bus> bus = {};
    std::optional<Refusal> refusal = {}; ///< why there is none
    std::string version = {};            ///< "0.1.0" of the daemon; empty: it is not known
};

[[nodiscard]] Greeting greet(const BusOptions& options);

/// The daemon's version in a line of the library's log; empty if it is about something else.
[[nodiscard]] std::string version_in(std::string_view line);

/// `version` is that of this program.
[[nodiscard]] Findings findings_of(const Greeting& greeting, const User& user,
                                   const std::string& version);

} // namespace shmbus::tools::doctor
