// The gate of a block or reject topic: how far publishers may overwrite.
//
// Sequence s may take its slot when s - capacity is behind the gate. A publisher computes the gate
// itself, caches it in private memory and looks again only when it meets it.
//
// The gate of a topic on disk is the disk alone, as far as the daemon says that everything is written,
// or durable: no subscriber, slow, stopped or dead, ever slows a publisher. What follows is about topics
// in memory, where the gate is the smallest cursor of the attached subscribers that publishers wait for,
// or the newest event when there are none.
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
// Of any two, one sees the other. A subscriber that stands still for evict_after while a publisher
// is short of room loses that right: a publisher marks it in the ring (the readers object is
// read-only for publishers), and all skip it from then on (model: lossy). Each subscriber has its
// own clock, kept by all publishers together and started by the first who finds it in the way
// (model: lease); so many short waits count as one long one, and however many stand still, they go
// together. Only a cursor that moves on stops the clock: not one that moves to and fro, or where
// nothing is left, and not a new token. The daemon notes in the ring whose each entry is, and nobody
// else is waited for.
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

    /// Marks lossy who stands before sequence `s` and has stood still for evict_after. One that
    /// stands at a claim is not to blame, but the publisher of that: the claim is revoked, and the
    /// clock starts again, as it does when a claim ends by itself. Whether something was done now.
    bool evict_if_stalled(Sequence s) noexcept;

  private:
    struct Standing {
        layout::ReaderWatch& watch;
        std::uint64_t mark; // as it was before `attach` was read
        std::uint64_t attach;
        Sequence cursor;
    };
    Sequence refresh() noexcept;
    [[nodiscard]] bool is_storage() const noexcept;
    [[nodiscard]] Sequence stored() const noexcept;
    bool revoke_if_storage_waits() noexcept;
    template <class Visit> void for_each_gate(Visit visit) const noexcept;
    [[nodiscard]] Sequence slowest(Sequence ceiling) const noexcept;
    struct Place {
        Sequence last; // what it is done with
        bool at_claim; // the next event is not there for it to read yet
    };
    [[nodiscard]] Place place_of(const Standing& reader) const noexcept;
    [[nodiscard]] bool stood_still(const Standing& reader, const Place& place,
                                   std::uint64_t now) const noexcept;
    [[nodiscard]] bool evict(const Standing& reader) noexcept;
    bool revoke_claim(Sequence s) noexcept;

    Topic topic_;
    layout::PublisherEntry& entry_;
    Sequence cached_;
    Sequence stood_at_ = 0; // how far the storage was when this publisher last was in need
    std::uint64_t stood_since_ns_ = 0;
};

} // namespace shmbus::ring
