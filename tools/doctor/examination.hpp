// Everything that shmbus doctor looks at, gathered in one go; nothing is changed by it.
#pragma once

#include "tools/command.hpp"
#include "tools/doctor/access.hpp"
#include "tools/doctor/daemon.hpp"
#include "tools/doctor/disk.hpp"
#include "tools/doctor/host.hpp"
#include "tools/doctor/socket.hpp"
#include "tools/doctor/topics.hpp"
#include "tools/doctor/units.hpp"

namespace shmbus::tools::doctor {

struct Examination {
    SocketFacts socket;
    Greeting greeting = {};
    User user = {};
    DaemonFacts daemon = {};
    UnitsLook units = {};
    HostFacts host = {};
    std::vector<TopicInfo> topics = {};   ///< all of them
    std::vector<TopicFacts> details = {}; ///< of each of them
    DiskFacts disk = {};
    Findings on_the_way = {}; ///< what came up while this was gathered
};

/// Takes a second more where one look at a topic does not tell. @throws Interrupted
[[nodiscard]] Examination examine(const Context& context);

/// `version` is that of this program.
[[nodiscard]] Findings findings_of(const Examination& all, const std::string& self,
                                   const std::string& version);

/// For people: the socket, and what else was looked at.
[[nodiscard]] std::string checked_in(const Examination& all);

/// Whether nobody is there to ask.
[[nodiscard]] bool lacks_daemon(const Examination& all) noexcept;

} // namespace shmbus::tools::doctor
