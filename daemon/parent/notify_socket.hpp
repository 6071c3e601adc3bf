// The other end of sd_notify(3): where a worker tells its state, and sends descriptors to be kept.
//
// A message is one datagram, of assignments NAME=VALUE, one a line. Its address is abstract and
// chosen by the kernel, so no file is left behind; anybody on the host can send to it, and the
// kernel says who did.
#pragma once

#include "base/fd.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace shmbus::parent {

struct Notification {
    pid_t sender = 0;
    std::vector<std::string> assignments;
    std::vector<base::Fd> descriptors;
    /// Why it is not as it was sent, if so; then there are no assignments.
    std::string fault;

    [[nodiscard]] bool has(std::string_view assignment) const;
    [[nodiscard]] std::optional<std::string_view> value_of(std::string_view name) const;
};

class NotifySocket {
  public:
    /// @throws Error(limit), Error(system)
    NotifySocket();

    /// Readable while a message waits.
    [[nodiscard]] const base::Fd& fd() const noexcept { return socket_; }
    /// For $NOTIFY_SOCKET.
    [[nodiscard]] const std::string& address() const noexcept { return address_; }
    /// The oldest message that waits, if there is one. @throws Error(system)
    std::optional<Notification> receive();

  private:
    base::Fd socket_;
    std::string address_;
};

} // namespace shmbus::parent
