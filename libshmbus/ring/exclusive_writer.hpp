// The publishing side of the slot protocol for the one publisher of a topic.
//
// Nobody else claims, revokes or moves the tail, so stores do what SharedWriter needs
// compare-and-swaps for, and a run of events shares what can be shared (model: exclusive):
//
//   1. For each event there is room for: slot(s).stamp = claimed(s, me), release.
//   2. Full fence. Look once more whether the ring is open. tail = behind the last claim.
//   3. For each: content, then slot(s).stamp = committed(s), release.
//   4. Full fence. If a subscriber sleeps: ring.
//
// The first fence orders the claims before the content, for readers of the lap before (litmus X1 to
// X3), and before the look at the state. The release of a claim carries along what this publisher
// saw before it, such as that a subscriber is waited for no more (L3, L4). The second fence stands
// between commits and the look at who sleeps (P6).
//
// The daemon gives the topic to the next publisher only when this one released it or is dead: its
// stores would otherwise still come (model exclusive -DMUT_STOPPED). Its claims, which may be ahead
// of the tail by a run, are aborted first.
#pragma once

#include "ring/writer.hpp"

namespace shmbus::ring {

class ExclusiveWriter final : public Writer {
  public:
    /// @pre the daemon lets nobody else publish to this topic, and has reaped who did before
    ExclusiveWriter(const Topic& topic, std::uint32_t owner) noexcept
        : Writer(topic, owner), next_(topic.ring.header().tail.load_acquire()) {}

    PublishOutcome publish(std::span<const Draft> drafts, Deadline deadline,
                           Run& run) noexcept override;
    void prefetch() const noexcept override { prefetch_slot(next_); }

  private:
    PublishOutcome claim(std::size_t wanted, Deadline deadline, std::size_t& claimed) noexcept;
    [[nodiscard]] bool is_free(Sequence s) const noexcept;
    PublishOutcome fill(std::span<const Draft> drafts, Run& run) noexcept;
    void finish(Sequence s, SlotState state) noexcept;

    Sequence next_;
};

} // namespace shmbus::ring
