// Watches the process of every session, and cleans up after the dead.
//
// A process is dead when its pidfd says so, and only then: a connection that closed, or a process
// that is stopped, proves nothing, as it may still write to the memory it has mapped. But that the library's
// thread has ended, which is known earlier, is reason enough to give up what its publishers have claimed.
#pragma once

#include "base/fd.hpp"
#include "daemon/registry/sessions.hpp"
#include "daemon/supervisor/thread_watch.hpp"
#include "daemon/system/descriptor_store.hpp"
#include "daemon/system/log.hpp"

#include <kj/async-unix.h>
#include <map>

namespace shmbus::supervisor {

class Supervisor final : private kj::TaskSet::ErrorHandler {
  public:
    Supervisor(kj::UnixEventPort& events, registry::Sessions& sessions,
               system::DescriptorStore& descriptors)
        : events_(events), sessions_(sessions), descriptors_(descriptors),
          threads_(events, [this](registry::SessionId session) { thread_ended(session); }),
          tasks_(*this) {}

    /// Ends the session when the process behind `pidfd` is dead; the next daemon will know of it, too.
    void watch(registry::SessionId session, base::Fd pidfd);
    /// One that this daemon was left with.
    void watch_on(registry::SessionId session, base::Fd pidfd);
    /// @returns the futex for the session's thread to hold. @throws as ThreadWatch::watch
    [[nodiscard]] base::Fd watch_thread(registry::SessionId session) {
        return threads_.watch(session);
    }
    /// The session is gone for another reason.
    void forget(registry::SessionId session);

  private:
    void thread_ended(registry::SessionId session) noexcept;
    void died(registry::SessionId session) noexcept;
    void taskFailed(kj::Exception&& e) override;

    kj::UnixEventPort& events_;
    registry::Sessions& sessions_;
    system::DescriptorStore& descriptors_;
    struct Watch {
        std::string kept_as;
        kj::Own<kj::PromiseFulfiller<void>> end; // when it is destroyed
    };
    std::map<registry::SessionId, Watch> watched_;
    system::ThrottledLog log_;
    ThreadWatch threads_;
    kj::TaskSet tasks_;
};

} // namespace shmbus::supervisor
