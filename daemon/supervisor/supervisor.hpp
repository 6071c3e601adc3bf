// Watches the process of every session, and cleans up after the dead.
//
// A process is dead when its pidfd says so, and only then: a connection that closed, or a process
// that is stopped, proves nothing, as it may still write to the memory it has mapped.
#pragma once

#include "base/fd.hpp"
#include "daemon/registry/sessions.hpp"
#include "daemon/system/descriptor_store.hpp"
#include "daemon/system/log.hpp"

#include <kj/async-unix.h>
#include <map>

namespace shmbus::supervisor {

class Supervisor final : private kj::TaskSet::ErrorHandler {
  public:
    Supervisor(kj::UnixEventPort& events, registry::Sessions& sessions,
               system::DescriptorStore& descriptors)
        : events_(events), sessions_(sessions), descriptors_(descriptors), tasks_(*this) {}

    /// Ends the session when the process behind `pidfd` is dead; the next daemon will know of it, too.
    void watch(registry::SessionId session, base::Fd pidfd);
    /// One that this daemon was left with.
    void watch_on(registry::SessionId session, base::Fd pidfd);
    /// The session is gone for another reason.
    void forget(registry::SessionId session);

  private:
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
    kj::TaskSet tasks_;
};

} // namespace shmbus::supervisor
