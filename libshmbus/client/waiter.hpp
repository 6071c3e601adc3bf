// The body of WaitSet.
#pragma once

#include "base/fd.hpp"
#include "client/sleeper.hpp"
#include "shmbus/wait_set.hpp"

#include <atomic>

namespace shmbus::client {

class Waiter {
  public:
    void add(Subscription& subscription);
    void remove(const Subscription& subscription) noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }
    Ready wait(Deadline deadline) noexcept;
    int descriptor();
    void interrupt() noexcept;

  private:
    struct Member {
        Subscription* subscription;
        Receiver* receiver;
    };
    [[nodiscard]] std::size_t sleepers_needed() const noexcept;
    void make_sleepers(std::size_t needed);
    Subscription* find() noexcept;
    void arm() noexcept;
    void order_sleepers() noexcept;
    [[nodiscard]] Deadline look_again() const noexcept;
    [[nodiscard]] std::span<const base::Watched> own() const noexcept;
    void changed() noexcept;
    void lower() const noexcept;

    std::vector<Member> members_;
    std::vector<base::Watched> watched_;      // for each member; what it was armed on
    std::size_t next_ = 0;                    // whose turn it is
    base::Fd event_;                          // an eventfd, once there is one
    std::atomic<int> raised_by_sleepers_{-1}; // the same; written while they are at work
    base::Word32 wake_{0};                    // 1: interrupt() or changed() was called
    std::atomic<bool> interrupted_{false};
    std::vector<std::unique_ptr<Sleeper>> sleepers_; // the first to go: they call changed()
};

} // namespace shmbus::client
