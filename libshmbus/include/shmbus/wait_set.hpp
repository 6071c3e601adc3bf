// Waiting on several subscriptions at once, and inside other event loops.
#pragma once

#include "shmbus/api.hpp"
#include "shmbus/subscription.hpp"

#include <memory>

namespace shmbus {

namespace client {
class Waiter;
}

/// Which subscription to look at.
struct Ready {
    Subscription* subscription = nullptr; ///< nullptr: none
    Nothing why = Nothing::timed_out;     ///< why none: timed_out or interrupted
    explicit operator bool() const noexcept { return subscription != nullptr; }
};

/// Waits for whichever of several subscriptions has something first.
///
///     shmbus::WaitSet set;
///     set.add(orders);
///     set.add(payments);
///     while (auto ready = set.wait(10s)) handle(ready.subscription->receive(Deadline::now()));
///
/// A subscription is ready when receive() would not wait. It may still find nothing: what is there
/// may be left out by a filter. All are served in turn, however busy one of them is.
///
/// Cost: no allocation in wait(). One thread sleeps on up to 127 subscriptions; for each further 127,
/// and for all of them once descriptor() was called, the set has a thread of its own, named "shmbus",
/// with all signals blocked, that sleeps unless one of its subscriptions has something, or waits for a
/// file that the daemon has not opened yet.
/// Lifetime: a subscription must stay where it is and alive until it is removed, or the set is gone.
/// Thread safety: one thread at a time, which also uses the subscriptions. interrupt() may be called
/// from any thread and from a signal handler.
class SHMBUS_API WaitSet {
  public:
    WaitSet();
    WaitSet(WaitSet&&) noexcept;
    WaitSet& operator=(WaitSet&&) noexcept;
    ~WaitSet();

    /// @throws Error(bad_argument) when it is in this set already, Error(limit) without threads left
    void add(Subscription& subscription);
    /// Does nothing when it is not in this set.
    void remove(Subscription& subscription) noexcept;
    [[nodiscard]] std::size_t size() const noexcept;

    /// The next subscription that is ready; looks at least once, also when the deadline has passed.
    Ready wait(Deadline deadline) noexcept;

    /// For poll, epoll, and loops built on them: readable when wait() may have something. Only a
    /// wait() that finds nothing makes it unreadable again, so call wait(Deadline::now()) until it
    /// does. Never read or close it. Valid as long as the set.
    /// @throws Error(limit) without descriptors or threads left
    [[nodiscard]] int descriptor();

    /// Makes a wait() that sleeps return `interrupted`; if none sleeps, the next one that would.
    void interrupt() noexcept;

  private:
    std::unique_ptr<client::Waiter> waiter_;
};

} // namespace shmbus
