// The library's one thread: an event loop for Cap'n Proto, to which other threads hand work.
//
// It is named "shmbus", blocks all signals, sleeps in epoll_wait when there is nothing to do, and
// leaves the process's handling of SIGPIPE as it was. Everything made on the thread (connections,
// capabilities) must be destroyed on it, so run() is also how they are taken down.
#pragma once

#include <kj/async-io.h>
#include <kj/function.h>
#include <sys/types.h>
#include <thread>

namespace shmbus::control {

class EventThread {
  public:
    /// @throws Error(limit), Error(system)
    EventThread();
    /// Whatever was made on the thread is gone by now.
    ~EventThread();
    EventThread(const EventThread&) = delete;
    EventThread& operator=(const EventThread&) = delete;

    using Work = kj::Function<kj::Promise<void>(kj::AsyncIoContext&)>;
    /// Calls `work` on the thread and returns when the promise that it returned is done. From any
    /// other thread; several may wait at a time. `work` may refer to the caller's stack.
    /// @throws Error(system) with what `work` threw
    void run(Work work);

    /// A fork() leaves the child with the object but without the thread.
    [[nodiscard]] bool is_mine() const noexcept;

  private:
    struct Start;
    void main(Start& start);
    pid_t process_;
    kj::Own<const kj::Executor> executor_;
    kj::AsyncIoContext* io_ = nullptr;         // on the thread
    kj::Own<kj::PromiseFulfiller<void>> stop_; // on the thread
    std::thread thread_;
};

} // namespace shmbus::control
