// Descriptors that outlive this process: whoever starts the daemon keeps them and hands them to the next
// one. systemd does (FileDescriptorStoreMax=), and so does the parent of shmbusd --supervise.
#pragma once

#include "base/fd.hpp"

#include <map>
#include <set>
#include <string>

namespace shmbus::system {

/// With nobody there to keep anything, it does nothing.
class DescriptorStore {
  public:
    /// `name`: of letters, digits and dots; short, as all of them together come back in one variable of the
    /// environment.
    void keep(const std::string& name, const base::Fd& fd);
    void forget(const std::string& name);
    /// One of this name is kept already.
    void note(const std::string& name) {
        if (names_.insert(name).second) bytes_ += name.size() + 1;
    }
    /// What the one before was keeping, which is kept already. Once.
    [[nodiscard]] std::map<std::string, base::Fd> inherit();

  private:
    std::set<std::string> names_;
    std::size_t bytes_ = 0; // of all names
    bool is_full_ = false;
};

/// What the one before was keeping, by name; where several have one name, one of them. Once.
[[nodiscard]] std::map<std::string, base::Fd> inherited_descriptors();

} // namespace shmbus::system
