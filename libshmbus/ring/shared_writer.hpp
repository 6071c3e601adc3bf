// The publishing side of the slot protocol, for publishers that share a topic.
//
//   1. s = tail; is there room?
//   2. Compare-and-swap slot(s).stamp from the final state of s - capacity, or from empty, to
//      claimed(s, me), acquire; then a release fence. Look once more whether the ring is open.
//   3. Compare-and-swap tail from s to s + 1. Anybody may do it.
//   4. Content.
//   5. Compare-and-swap claimed(s, me) to committed(s). If it fails the claim was revoked.
//
// Why a release fence after an acquire claim: a reader of the slot's previous lap copies it, then
// looks at the stamp again. Without the fence it could see new content under the old stamp
// (litmus A1, A2 against A3). Why acquire: the claim takes over what the previous owner wrote (B1
// against B2).
//
// A claim that is a whole lap old stands in the way of whoever needs its slot; that publisher
// revokes it: claimed(s - capacity, other) becomes quarantined(s, other), two tombstones in one
// step. A quarantined slot is stepped over lap by lap in the same way and never written, because
// its owner still may. When the late owner's commit fails it turns the stamp that names it to
// aborted, which frees the slot, and publishes again with a later sequence (model: slot, slot2
// -DPEERQUAR). With as many stopped publishers as slots there is nothing to claim: that is a full
// ring.
#pragma once

#include "ring/writer.hpp"

namespace shmbus::ring {

class SharedWriter final : public Writer {
  public:
    SharedWriter(const Topic& topic, std::uint32_t owner) noexcept : Writer(topic, owner) {}

    PublishOutcome publish(std::span<const Draft> drafts, Deadline deadline,
                           Run& run) noexcept override;
    void prefetch() const noexcept override;

  private:
    enum class Step : std::uint8_t { claimed, look_again, stepped_over, damaged };

    PublishOutcome publish_one(const Draft& draft, Deadline deadline, Sequence& s) noexcept;
    PublishOutcome claim(Deadline deadline, Sequence& s) noexcept;
    Step try_claim(Sequence s) noexcept;
    Step resolve(Sequence s, std::uint64_t seen) noexcept;
    [[nodiscard]] bool all_quarantined() const noexcept;
    void advance_tail(Sequence s) noexcept;
    [[nodiscard]] bool commit(Sequence s) noexcept;
    void retire(Sequence s) noexcept;
};

} // namespace shmbus::ring
