// The chunk pool: memory for payloads that do not fit a slot.
//
// Each chunk has one state word: free, owned(publisher), published(sequence). Taking one is a
// single compare-and-swap to owned(me), so a dead publisher's chunks are found by a scan and
// nothing leaks. There is no free call for a published chunk. It may be taken
//
//   * when its slot has moved on to a later event, was aborted or is evicted already; or
//   * when its event may go (behind the gate; drop-oldest: any): the slot is first moved to
//     `evicted`, so that no reader starts on it from then on;
//
// and in both cases only if, looked at after the slot, no reader holds it. The reader does the
// opposite: it sets its hold bit, then looks at the slot. A full fence stands between on both sides
// (model: chunk; litmus: H2, H4). The chunk is marked published(s) before slot s is committed.
//
// When nothing else is left, a chunk held for longer than hold_timeout is taken all the same; its
// reader learns that at release (model: hold).
#pragma once

#include "ring/gate.hpp"

#include <optional>

namespace shmbus::ring {

class Pool {
  public:
    Pool(const Topic& topic, std::uint32_t owner, Gate& gate) noexcept
        : topic_(topic), gate_(gate), owner_(owner) {}

    /// A chunk of at least `bytes`, now owned by this publisher; nothing if none can be taken now.
    [[nodiscard]] std::optional<std::uint32_t> take(std::uint64_t bytes) noexcept;

    /// Gives an owned chunk back unpublished.
    void give_back(std::uint32_t chunk) noexcept;

    /// Binds an owned chunk to the claimed sequence. False: it is not this publisher's any more.
    [[nodiscard]] bool mark_published(std::uint32_t chunk, Sequence s) noexcept;

    /// After the commit of `s` failed: whether the chunk could be had back, contents intact.
    [[nodiscard]] bool take_back(std::uint32_t chunk, Sequence s) noexcept;

  private:
    enum class Patience : std::uint8_t { respect_holds, revoke_overdue };

    /// Chunks next to each other in their class, which is a circle.
    struct Window {
        std::uint32_t first; // the class's first chunk
        std::uint32_t count; // and how many it has
        std::uint32_t start; // within the class
        std::uint32_t size;
    };
    struct Candidate {
        std::uint32_t i; // within the window
        std::uint32_t chunk;
        std::uint64_t word; // as it was seen
    };
    [[nodiscard]] std::optional<std::uint32_t> take_from(std::uint32_t c,
                                                         Patience patience) noexcept;
    [[nodiscard]] std::optional<Candidate> choose(const Window& window,
                                                  std::uint32_t refused) const noexcept;
    [[nodiscard]] bool take_free(std::uint32_t chunk) noexcept;
    /// Whether the event of `s` is out of its slot, or may be made so.
    enum class Fate : std::uint8_t { gone, may_go, stays };
    [[nodiscard]] Fate fate_of(Sequence s) noexcept;
    [[nodiscard]] bool reuse(std::uint32_t chunk, std::uint64_t word, Patience patience) noexcept;
    [[nodiscard]] bool is_held(std::uint32_t chunk, Patience patience) const noexcept;
    [[nodiscard]] bool overdue(std::uint32_t chunk, std::uint32_t reader) const noexcept;
    [[nodiscard]] Sequence sequence_of(std::uint64_t word) const noexcept;

    Topic topic_;
    Gate& gate_;
    bool gate_is_fresh_ = false; // one look at the readers for each take() is enough
    std::uint32_t owner_;
};

} // namespace shmbus::ring
