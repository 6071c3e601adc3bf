// The gate of a block or reject topic: how far publishers may overwrite.
//
// Sequence s may take its slot when s - capacity is behind the gate: the smallest cursor of the
// attached subscribers that publishers wait for, or the newest event when there are none. A
// publisher computes the gate itself, caches it in private memory and looks again only when it
// meets it.
//
// A subscriber that joins in the past must not start behind somebody's cached gate. The rule has two
// sides (model: gate; litmus: G1):
//
//     publisher                                joiner
//     store the gate in my publisher entry     store my cursor, then attach
//     full fence                               full fence
//     look at the readers again, take the      start no lower than the largest gate
//     smaller                                  that any publisher entry shows
//
// Of any two, one sees the other. A subscriber that stands still for evict_after while it is the
// gate loses that right: a publisher writes its attach token into the ring's lossy marks (the
// readers object is read-only for publishers), and all skip it from then on.
#pragma once

#include "ring/view.hpp"

namespace shmbus::ring {

class Gate {
  public:
    /// For publisher entry `owner`, which is this publisher's alone.
    Gate(const Topic& topic, std::uint32_t owner) noexcept;

    /// Whether everything up to and including `s` may be overwritten; looks again if it must.
    [[nodiscard]] bool is_past(Sequence s) noexcept { return s <= cached_ || s <= refresh(); }

    /// The same, as it was at the last look.
    [[nodiscard]] bool was_past(Sequence s) const noexcept { return s <= cached_; }

    /// Once whoever holds up sequence `s` has stood still for evict_after: if it stands before a
    /// claim, the publisher of that is the one to blame, and its claim is revoked; otherwise it and
    /// all beside it are marked lossy. Whether something was done now.
    bool evict_if_stalled(Sequence s) noexcept;

  private:
    struct Slowest {
        Sequence cursor;
        std::uint32_t reader;
        std::uint64_t attach; // 0: nobody is slower than the ceiling
    };
    Sequence refresh() noexcept;
    [[nodiscard]] bool stood_still(const Slowest& gate) noexcept;
    bool revoke_claim(Sequence s) noexcept;
    [[nodiscard]] Slowest slowest(Sequence ceiling) const noexcept;

    Topic topic_;
    layout::PublisherEntry& entry_;
    Sequence cached_;
};

} // namespace shmbus::ring
