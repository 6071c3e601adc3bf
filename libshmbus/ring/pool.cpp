#include "ring/pool.hpp"

#include "base/clock.hpp"
#include "shmbus/types.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

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

namespace {

// A clock: chunks are published roughly in the order in which they are taken, so the one under the
// hand is the oldest, give or take. A window of sixteen (two cache lines) makes up for the
// roughness: a free chunk in it is preferred, then the oldest event's. Only the slot of the chunk
// that is chosen is looked at: those are a cache line each.
constexpr std::uint32_t window = 16;

/// Which of the chunks with these state words to try first; nothing when all are owned.
std::optional<std::uint32_t> choose(std::span<const std::uint64_t> words, Sequence tail) noexcept {
    std::optional<std::uint32_t> oldest;
    std::int64_t oldest_ahead = 0;
    for (std::uint32_t i = 0; i < words.size(); ++i) {
        if (words[i] == 0) return i;
        const Stamp stamp(words[i]);
        if (stamp.chunk_state() != ChunkState::published) continue;
        if (oldest && stamp.ahead_of(tail) >= oldest_ahead) continue;
        oldest = i;
        oldest_ahead = stamp.ahead_of(tail);
    }
    return oldest;
}

} // namespace

std::optional<std::uint32_t> Pool::take_from(std::uint32_t c, Patience patience) noexcept {
    const auto& in = topic_.ring.geometry().classes[c];
    const std::uint64_t mine = Stamp::chunk(ChunkState::owned, 0, owner_).word();
    const Sequence tail = topic_.ring.header().tail.load_relaxed();
    auto& hand = topic_.ring.header().hands[c];
    const std::uint32_t start = hand.load_relaxed() % in.count;
    for (std::uint32_t done = 0; done < in.count; done += window) {
        const auto chunk_at = [&](std::uint32_t i) {
            const std::uint32_t n = start + done + i; // less than twice the count
            return in.first + (n < in.count ? n : n - in.count);
        };
        std::array<std::uint64_t, window> seen; // NOLINT(*-init): what is used of it is filled
        const std::span words(seen.data(), std::min(window, in.count - done));
        for (std::uint32_t i = 0; i < words.size(); ++i)
            words[i] = topic_.ring.chunk_word(chunk_at(i)).load_acquire();
        while (const auto i = choose(words, tail)) {
            const std::uint32_t chunk = chunk_at(*i);
            // Acquire: a free one's word pairs with give_back() and with the reaper.
            if (words[*i] == 0 ? topic_.ring.chunk_word(chunk).cas_acquire(words[*i], mine)
                               : reuse(chunk, words[*i], patience)) {
                hand.store_relaxed(chunk - in.first + 1);
                return chunk;
            }
            words[*i] = mine; // not that one
        }
    }
    return {};
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
