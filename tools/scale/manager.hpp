// Units of systemd, as scaling needs them.
#pragma once

#include "tools/scale/scaler.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace shmbus::tools::scale {

/// systemd, or the bus to it, is not there just now; it may come back.
class Unreachable : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// systemd does not do so, and says why.
class Refused : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

class Manager {
  public:
    virtual ~Manager() = default;
    /// How each of them is doing. @throws Unreachable; Failure when there is no such unit
    [[nodiscard]] virtual std::vector<Instance> look(const std::vector<std::string>& units) = 0;
    // These two do not wait until it has.
    /// @throws Unreachable, Refused; Failure when this user may not
    virtual void start(const std::string& unit) = 0;
    virtual void stop(const std::string& unit) = 0;

  protected:
    Manager() = default;
    Manager(const Manager&) = default;
    Manager& operator=(const Manager&) = default;
};

/// The user's own, or the host's. Connects when it is used, again where that has broken.
[[nodiscard]] std::unique_ptr<Manager> systemd(bool is_users);

} // namespace shmbus::tools::scale
