// A process that does one thing with a topic, and is killed or stopped in the middle of it.
//
//     Victim victim([&](Told& told) {
//         client::Sender sender(nullptr, lease(), {});   // at full speed
//         told.enter();                                  // from here on instruction by instruction
//         told.result = sender.publish("x", {}, Deadline::never());
//         told.leave();                                  // up to here
//     });
//     victim.enter();
//     if (victim.step(n) == n) victim.kill();            // behind its n-th instruction
//
// It is forked, not exec'ed: tens of thousands of them die in a test. So the test has one thread, and what
// it has mapped of a topic is not there in the child, which maps it anew as any client does.
#pragma once

#include "process/shared_array.hpp"
#include "shmbus/publisher.hpp"
#include "support/stepper.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace shmbus::test {

/// What a victim says, in memory that outlives it.
struct Told {
    std::atomic<std::uint32_t> is_ready{0}; // to enter
    std::atomic<std::uint32_t> is_held{0};  // by a stepper
    std::atomic<std::uint32_t> has_left{0}; // it came to the end of what it had to do
    PublishResult result{};                 // then: of its last event
    Sequence first = 0;                     // subscribers: what it received, event or gap
    std::uint32_t received = 0;             // and how many events

    /// In the victim: waits for the stepper.
    void enter() noexcept;
    void leave() noexcept { has_left.store(1, std::memory_order_release); }
};

class Victim {
  public:
    using Life = std::function<void(Told& told)>;
    explicit Victim(const Life& life);
    /// Kills it, if it still is.
    ~Victim();
    Victim(const Victim&) = delete;
    Victim& operator=(const Victim&) = delete;

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Waits until it has come to told.enter(). @throws std::runtime_error in vain
    void wait_until_ready() const;
    /// Takes hold of it there.
    void enter();
    /// Steps on until it has left, at most so many instructions; how many.
    std::uint64_t step(std::uint64_t most);
    [[nodiscard]] bool has_left() const noexcept {
        return told_[0].has_left.load(std::memory_order_acquire) != 0;
    }
    /// @pre has_left()
    [[nodiscard]] const Told& told() const noexcept { return told_[0]; }
    /// SIGKILL; returns when it is dead.
    void kill();
    /// SIGSTOP, where it stands; returns when it has stopped. The stepper lets go of it.
    void stop();
    /// Waits for the end of one that is not held, after SIGCONT. @throws std::runtime_error in vain
    void run_on();
    /// Waits until it sleeps in the kernel.
    void wait_until_asleep() const;

  private:
    template <class Condition> void wait_until(Condition condition, const char* what) const;
    void reap() noexcept;
    SharedArray<Told> told_{1};
    pid_t pid_ = -1;
    std::optional<Stepper> stepper_;
};

} // namespace shmbus::test
