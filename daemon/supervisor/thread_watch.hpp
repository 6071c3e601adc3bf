// Tells the event loop when the library's thread in a client has ended.
//
// Each client holds a robust futex (base/robust.hpp). An event loop cannot wait for one, so threads sleep on
// them, with as many words each as the kernel allows. What is in those words is the clients' own affair: the
// worst that one can say is that its thread has ended.
#pragma once

#include "base/fd.hpp"
#include "base/futex.hpp"
#include "base/robust.hpp"
#include "daemon/registry/sessions.hpp"

#include <functional>
#include <kj/async-unix.h>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace shmbus::supervisor {

class ThreadWatch {
  public:
    /// Calls `ended` from the event loop.
    ThreadWatch(kj::UnixEventPort& events, std::function<void(registry::SessionId)> ended);
    ~ThreadWatch();
    ThreadWatch(const ThreadWatch&) = delete;
    ThreadWatch& operator=(const ThreadWatch&) = delete;

    /// @returns the memory of the futex that the session's thread is to hold, in place of one that it had
    /// before. @throws Error(limit), Error(system)
    [[nodiscard]] base::Fd watch(registry::SessionId session);
    void forget(registry::SessionId session) noexcept;

  private:
    /// A thread, and those that it watches.
    class Sleeper {
      public:
        explicit Sleeper(ThreadWatch& owner);
        ~Sleeper();
        Sleeper(const Sleeper&) = delete;
        Sleeper& operator=(const Sleeper&) = delete;
        /// Whether it has room for one.
        bool add(registry::SessionId session, base::RobustWatch& futex);
        void forget(registry::SessionId session) noexcept;

      private:
        void run();
        void poke() noexcept;
        [[nodiscard]] std::vector<base::Watched> look(std::vector<registry::SessionId>& ended);
        ThreadWatch& owner_;
        std::mutex mutex_;
        std::map<registry::SessionId, base::RobustWatch> futexes_; // guarded by mutex_
        bool stop_ = false;                                        // guarded by mutex_
        base::Word32 poke_{0};                                     // 1: look again
        std::thread thread_;
    };
    void report(const std::vector<registry::SessionId>& ended);
    kj::Promise<void> listen();

    std::function<void(registry::SessionId)> ended_;
    base::Fd event_;
    kj::UnixEventPort::FdObserver observer_;
    std::mutex mutex_;
    std::vector<registry::SessionId> reported_; // guarded by mutex_
    std::vector<std::unique_ptr<Sleeper>> sleepers_;
    kj::Promise<void> listening_;
};

} // namespace shmbus::supervisor
