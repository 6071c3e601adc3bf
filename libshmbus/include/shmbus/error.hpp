// Errors of shmbus: broken promises and refused requests, as exceptions.
//
// shmbus knows two kinds of failure. Outcomes that a caller must expect (a full ring, a gap, a
// deadline that passed) are values: see PublishOutcome and Received. What remains is thrown as
// Error: no daemon, no such topic, no permission, damaged memory. An Error says in its message
// what happened and, where there is one, the remedy; its code is for programs.
#pragma once

#include "shmbus/api.hpp"

#include <stdexcept>
#include <string>

namespace shmbus {

/// What kind of trouble an Error reports.
enum class Errc {
    bad_argument = 1,     ///< a name, size or option outside its documented range
    no_daemon,            ///< nobody listens at the bus's socket, or it did not answer
    no_such_topic,        ///< the topic does not exist
    topic_exists,         ///< a topic of that name exists already
    different_options,    ///< it exists, with other options than those asked for
    busy,                 ///< somebody holds it; the message names them
    permission,           ///< the bus's policy refuses this user
    limit,                ///< a limit of the bus or of the system; the message names it
    unsupported,          ///< this build or this daemon cannot do that
    incompatible,         ///< a layout or protocol this build does not know
    damaged,              ///< shared memory or a descriptor is not what it should be
    timed_out,            ///< the deadline of a request passed
    disconnected,         ///< the daemon went away during the request; it may or may not have acted
    system,               ///< a system call failed
    no_such_subscription, ///< the topic has no durable subscription of that name
    subscription_exists,  ///< it has one already
};

/// The name of a code, as it stands in the enumeration. Never fails.
[[nodiscard]] SHMBUS_API const char* name_of(Errc code) noexcept;

/// The one exception type of the library.
class SHMBUS_API Error : public std::runtime_error {
  public:
    Error(Errc code, const std::string& what) : std::runtime_error(what), code_(code) {}
    [[nodiscard]] Errc code() const noexcept { return code_; }

  private:
    Errc code_;
};

} // namespace shmbus
