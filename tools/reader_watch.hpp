// Whether anybody still reads stdout, for a verb that waits and has nothing to write.
//
// A pipe says that its reader has gone to who writes, or to who polls. `sub t | head -1` writes
// nothing until the next event, so a thread polls; it sleeps until the reader goes.
#pragma once

#include <functional>
#include <thread>

namespace shmbus::tools {

/// While it lives, calls `left`, once and on a thread of its own, when nobody reads stdout any more.
/// Does nothing where stdout is neither a pipe nor a socket: a file has no reader.
class ReaderWatch {
  public:
    /// @throws Failure, std::system_error
    explicit ReaderWatch(std::function<void()> left);
    ReaderWatch(const ReaderWatch&) = delete;
    ReaderWatch& operator=(const ReaderWatch&) = delete;
    ~ReaderWatch(); // when it returns, `left` does not run and will not

  private:
    void start();
    void wait() const noexcept;
    std::function<void()> left_;
    int stop_fd_ = -1;
    std::thread thread_;
};

} // namespace shmbus::tools
