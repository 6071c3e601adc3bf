// Waking without a system call when nobody sleeps, and without a lost wake-up.
//
// There are two bells a topic. Publishers ring one for subscribers that wait for events,
// subscribers the other for publishers that wait for space. Each has three words:
//
//     word    a counter the sleepers' futex looks at; bumped by whoever rings
//     armed   the largest value of `word` that a sleeper has gone to sleep on (written by sleepers)
//     rung    the value of `word` up to which all sleepers have been woken (written by ringers, after
//             the wake)
//
// Somebody sleeps exactly if armed >= rung. It is one comparison however many there are, and a
// sleeper that is stopped or dead costs one system call, not one for each event: the next wake moves
// `rung` past it (model: park).
//
// The race: the ringer makes something visible, then looks at `armed`; the sleeper raises `armed`,
// then looks for something. All four accesses are sequentially consistent, so at least one of them
// sees the other's (litmus: P1). On x86 that costs nothing beyond the ringer's own
// compare-and-swap, which a fence would.
#pragma once

#include "base/futex.hpp"

namespace shmbus::ring {

class Bell {
  public:
    Bell(base::Word64& word, base::Word64& rung, base::Word64& armed) noexcept
        : word_(word), rung_(rung), armed_(armed) {}

    /// To be asked after a sequentially consistent write of what sleepers wait for.
    [[nodiscard]] bool somebody_sleeps() const noexcept {
        // A stale `rung` is too small and costs a needless ring.
        return armed_.load_seq_cst() >= rung_.load_relaxed();
    }

    /// Wakes all sleepers. Whoever dies in here leaves them asleep; the daemon rings for the dead.
    void ring() noexcept {
        const std::uint64_t before = word_.fetch_add_seq_cst(1);
        base::futex_wake_all(word_);
        rung_.raise_seq_cst(before + 1); // only now: a dead ringer must not look like one who rang
    }

    /// Undoes what a hostile sleeper or ringer wrote: `armed` or `rung` ahead of the word, where
    /// they would stay. ring() has to follow: it wakes who armed before this and was forgotten here.
    void heal() noexcept {
        for (base::Word64* const ahead : {&armed_, &rung_}) {
            std::uint64_t seen = ahead->load_seq_cst();
            if (seen > word_.load_seq_cst()) (void)ahead->cas_seq_cst(seen, 0);
        }
    }

    void ring_if_needed() noexcept {
        if (somebody_sleeps()) ring();
    }

    /// First half of going to sleep. Afterwards look again, with sequentially consistent loads;
    /// then sleep with what this returned.
    [[nodiscard]] std::uint64_t arm() noexcept {
        const std::uint64_t seen = word_.load_seq_cst();
        armed_.raise_seq_cst(seen);
        return seen;
    }

    [[nodiscard]] base::Woken sleep(std::uint64_t armed_at, const base::Word32& interrupt,
                                    Deadline deadline) const noexcept {
        return base::futex_wait(word_, armed_at, interrupt, deadline);
    }

  private:
    base::Word64& word_;
    base::Word64& rung_;
    base::Word64& armed_;
};

} // namespace shmbus::ring
