// Descriptors that outlive a worker, each with a name, as systemd's descriptor store has them: what
// a worker leaves here, the next one is started with (sd_listen_fds_with_names(3)).
#pragma once

#include "base/fd.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace shmbus::parent {

class DescriptorStore {
  public:
    /// Holds at most `most`, whose numbers are all above those of the standard streams.
    explicit DescriptorStore(std::size_t most) : most_(most) {}

    /// Keeps what this process was started with itself, by whoever activated it.
    void add_inherited();
    /// A name that cannot be one gives way to "stored". Several may have the same.
    /// @returns whether there was room; else it is closed
    bool add(base::Fd fd, std::string_view name);
    /// Closes all that have this name.
    void remove(std::string_view name);

    /// In a process that is about to become a worker: they are 3, 4, … and the environment says so;
    /// whatever else is open, but for the standard streams, closes with exec.
    /// @throws Error(system)
    void pass_on();

  private:
    struct Entry {
        base::Fd fd;
        std::string name;
    };
    std::size_t most_;
    std::vector<Entry> entries_;
};

} // namespace shmbus::parent
