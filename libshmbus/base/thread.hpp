// What all threads of the library have in common.
#pragma once

#include <csignal>
#include <pthread.h>

namespace shmbus::base {

/// While it lives, new threads start with all signals blocked: they are the application's affair.
class BlockedSignals {
  public:
    BlockedSignals() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

  private:
    sigset_t before_{};
};

/// How the calling thread shows in ps, top and debuggers.
inline void name_this_thread(const char* name = "shmbus") noexcept {
    ::pthread_setname_np(::pthread_self(), name);
}

} // namespace shmbus::base
