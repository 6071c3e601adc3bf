// Where a bus keeps its topics on disk.
//
//     STATE/lock           one process at a time
//     STATE/bus            a state file: which bus, and how what follows is laid out
//     STATE/socket         where that bus listens, as text
//     STATE/topics/NAME/   a topic's record and its log
//     STATE/removed/UUID/  on its way out
#pragma once

#include "base/fd.hpp"
#include "daemon/store/files.hpp"
#include "layout/segment.hpp"

namespace shmbus::store {

class StateDirectory {
  public:
    /// Makes what is missing, for this user alone, and takes away what a removal has left.
    /// @throws Error: busy when another process has it, incompatible when a newer version made it,
    /// permission, limit, system
    explicit StateDirectory(const std::string& path);
    /// It is that of the bus at this socket from now on. @throws Error(bad_argument) when it is another's
    void belong_to(const std::string& socket) const;

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// Their names, in no order.
    [[nodiscard]] std::vector<std::string> topics() const;
    /// A new, empty one. Kept once commit() has returned.
    [[nodiscard]] std::unique_ptr<Directory> make(const std::string& topic);
    void commit();
    [[nodiscard]] std::unique_ptr<Directory> open(const std::string& topic) const;
    /// Frees the name, for good when this has returned; the files stay, out of the way, until discard().
    void set_aside(const std::string& topic, const std::string& unique);
    /// From any thread.
    void discard(const std::string& unique) const noexcept;

    [[nodiscard]] std::string topic_path(const std::string& topic) const;

  private:
    [[nodiscard]] std::string removed_path(const std::string& unique) const;
    std::string path_;
    base::Fd lock_;
};

} // namespace shmbus::store
