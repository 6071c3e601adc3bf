#include "ring/pool.hpp"

#include "base/clock.hpp"
#include "shmbus/types.hpp"

#include <algorithm>
#include <bit>

namespace shmbus::ring {

using layout::ChunkState;

std::optional<std::uint32_t> Pool::take(std::uint64_t bytes) noexcept {
    const auto& geometry = topic_.ring.geometry();
    gate_is_fresh_ = false;
    for (const auto patience : {Patience::respect_holds, Patience::revoke_overdue}) {
        for (std::uint32_t c = 0; c < geometry.class_count; ++c) {
            if (geometry.classes[c].bytes < bytes) continue;
            if (const auto chunk = take_from(c, patience)) return chunk;
        }
    }
    return {};
}

std::optional<std::uint32_t> Pool::take_from(std::uint32_t c, Patience patience) noexcept {
    // A clock: chunks are published roughly in the order in which they are taken, so the one under
    // the hand is the oldest, give or take. A window of sixteen (two cache lines) makes up for the
    // roughness.
    constexpr std::uint32_t window = 16;
    const auto& in = topic_.ring.geometry().classes[c];
    auto& hand = topic_.ring.header().hands[c];
    const std::uint32_t start = hand.load_relaxed() % in.count;
    for (std::uint32_t done = 0; done < in.count; done += window) {
        const Window of{in.first, in.count, start + done, std::min(window, in.count - done)};
        std::uint32_t refused = 0; // bit i: that one was tried
        while (const auto candidate = choose(of, refused)) {
            const auto [i, chunk, word] = *candidate;
            if (word == 0 ? take_free(chunk) : reuse(chunk, word, patience)) {
                hand.store_relaxed(chunk - in.first + 1);
                return chunk;
            }
            refused |= 1U << i;
        }
    }
    return {};
}

/// What to try first: a chunk that is free, or whose event is long gone, else that of the oldest event.
/// Their state words tell; only the slot of the one that is chosen will be looked at, as each is a
/// cache line. So a chunk whose event was aborted a moment ago goes in its turn, not at once.
std::optional<Pool::Candidate> Pool::choose(const Window& window,
                                            std::uint32_t refused) const noexcept {
    const Sequence tail = topic_.ring.header().tail.load_relaxed();
    const auto lap = static_cast<std::int64_t>(topic_.ring.capacity());
    std::optional<Candidate> oldest;
    std::int64_t oldest_ahead = 0;
    for (std::uint32_t i = 0; i < window.size; ++i) {
        const std::uint32_t n = window.start + i; // less than twice the count
        const std::uint32_t chunk = window.first + (n < window.count ? n : n - window.count);
        const std::uint64_t word = topic_.ring.chunk_word(chunk).load_acquire();
        const Stamp stamp(word);
        const bool is_candidate = word == 0 || stamp.chunk_state() == ChunkState::published;
        if (!is_candidate || (refused >> i & 1U) != 0) continue;
        const std::int64_t ahead = stamp.ahead_of(tail);
        if (word == 0 || ahead < -lap) return Candidate{i, chunk, word};
        if (oldest && ahead >= oldest_ahead) continue;
        oldest = Candidate{i, chunk, word};
        oldest_ahead = ahead;
    }
    return oldest;
}

bool Pool::take_free(std::uint32_t chunk) noexcept {
    std::uint64_t free = 0;
    // Acquire: pairs with give_back() and with the reaper.
    return topic_.ring.chunk_word(chunk).cas_acquire(
        free, Stamp::chunk(ChunkState::owned, 0, owner_).word());
}

Sequence Pool::sequence_of(std::uint64_t word) const noexcept {
    return Stamp(word).sequence(topic_.ring.header().tail.load_relaxed());
}

Pool::Fate Pool::fate_of(Sequence s) noexcept {
    const Stamp stamp(topic_.ring.slot(s).stamp.load_acquire());
    const std::int64_t ahead = stamp.ahead_of(s);
    if (stamp.slot_state() != SlotState::empty && ahead > 0) return Fate::gone;
    if (ahead != 0) return Fate::stays;
    switch (stamp.slot_state()) {
    case SlotState::aborted:
    case SlotState::quarantined:
    case SlotState::evicted: return Fate::gone;
    case SlotState::committed: {
        const auto policy = static_cast<FullPolicy>(topic_.ring.parameters().full_policy);
        if (policy == FullPolicy::drop_oldest) return Fate::may_go;
        const bool past = gate_is_fresh_ ? gate_.was_past(s) : gate_.is_past(s);
        gate_is_fresh_ |= !past;
        return past ? Fate::may_go : Fate::stays;
    }
    case SlotState::empty:
    case SlotState::claimed: break;
    }
    return Fate::stays;
}

bool Pool::reuse(std::uint32_t chunk, std::uint64_t word, Patience patience) noexcept {
    const Sequence s = sequence_of(word);
    if (fate_of(s) == Fate::stays || is_held(chunk, patience))
        return false; // before the eviction: do not lose an event for nothing
    std::uint64_t committed = Stamp::slot(s, SlotState::committed).word();
    auto& stamp = topic_.ring.slot(s).stamp;
    if (stamp.load_acquire() == committed &&
        !stamp.cas_acq_rel(committed, Stamp::slot(s, SlotState::evicted).word()))
        return false;
    base::full_fence(); // between the slot and the holds; pairs with Reader::hold (H2, H4)
    if (is_held(chunk, patience)) return false;
    if (!topic_.ring.chunk_word(chunk).cas_acq_rel(
            word, Stamp::chunk(ChunkState::owned, 0, owner_).word()))
        return false;
    base::release_fence(); // before the first byte; pairs with Reader::release (litmus R1)
    return true;
}

bool Pool::is_held(std::uint32_t chunk, Patience patience) const noexcept {
    const auto* words = topic_.readers.bits(chunk);
    for (std::uint32_t w = 0; w < topic_.readers.words_per_chunk(); ++w) {
        // Sequentially consistent: the second look of a publisher that arms the space bell.
        for (std::uint64_t bits = words[w].load_seq_cst(); bits != 0; bits &= bits - 1) {
            const auto reader = w * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
            if (patience == Patience::respect_holds || !overdue(chunk, reader)) return true;
        }
    }
    return false;
}

bool Pool::overdue(std::uint32_t chunk, std::uint32_t reader) const noexcept {
    const auto* cells = topic_.readers.cells(reader);
    const std::uint32_t now = base::coarse_ms();
    for (std::uint32_t i = 0; i < layout::hold_cells; ++i) {
        const std::uint64_t cell = cells[i].load_acquire(); // written before the bit is set
        if (cell >> 32U != std::uint64_t{chunk} + 1) continue;
        if (now - static_cast<std::uint32_t>(cell) < topic_.ring.parameters().hold_timeout_ms)
            return false;
    }
    return true; // also when no cell names it: a bit that its reader does not account for
}

void Pool::give_back(std::uint32_t chunk) noexcept {
    std::uint64_t owned = Stamp::chunk(ChunkState::owned, 0, owner_).word();
    (void)topic_.ring.chunk_word(chunk).cas_release(owned, 0); // pairs with take_from()
}

bool Pool::mark_published(std::uint32_t chunk, Sequence s) noexcept {
    std::uint64_t owned = Stamp::chunk(ChunkState::owned, 0, owner_).word();
    return topic_.ring.chunk_word(chunk).cas_release(
        owned, Stamp::chunk(ChunkState::published, s, 0).word());
}

bool Pool::take_back(std::uint32_t chunk, Sequence s) noexcept {
    std::uint64_t published = Stamp::chunk(ChunkState::published, s, 0).word();
    return topic_.ring.chunk_word(chunk).cas_acq_rel(
        published, Stamp::chunk(ChunkState::owned, 0, owner_).word());
}

} // namespace shmbus::ring
