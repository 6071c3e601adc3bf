#include "ring/gate.hpp"

#include "base/clock.hpp"

#include <algorithm>

namespace shmbus::ring {

Gate::Gate(const Topic& topic, std::uint32_t owner) noexcept
    : topic_(topic), entry_(topic.ring.publisher(owner)),
      cached_(topic.ring.parameters().first_sequence - 1) {}

Gate::Slowest Gate::slowest(Sequence ceiling) const noexcept {
    Slowest slowest{ceiling, 0, 0};
    const std::uint32_t limit = topic_.readers.reader_limit();
    for (std::uint32_t r = 0; r < limit; ++r) {
        auto& entry = topic_.readers.entry(r);
        const std::uint64_t attach = entry.attach.load_acquire(); // pairs with Reader::announce
        if (layout::mode_of(attach) != layout::ReaderMode::gate) continue;
        if (topic_.ring.lossy_mark(r).load_relaxed() == attach) continue;
        // Sequentially consistent: the second look of a publisher that arms the space bell.
        const Sequence cursor = entry.cursor.load_seq_cst();
        if (cursor < slowest.cursor) slowest = {cursor, r, attach};
    }
    return slowest;
}

Sequence Gate::refresh() noexcept {
    // The tail is read before the table: an empty table means "up to what was there", not "all".
    const Sequence newest = topic_.ring.header().tail.load_acquire() - 1;
    Sequence gate = slowest(newest).cursor;
    if (gate > entry_.gate.load_relaxed()) entry_.gate.store_relaxed(gate);
    base::full_fence(); // pairs with Reader::announce; model gate -DTWOSIDED, -DMUT_ONELOOK
    gate = std::min(gate, slowest(newest).cursor);
    cached_ = std::max(cached_, gate);
    return cached_;
}

/// Publishers keep the watch together, so that many short waits count as one long one. They may
/// overwrite each other here; that only starts the clock again.
bool Gate::stood_still(const Slowest& gate) noexcept {
    auto& header = topic_.ring.header();
    // The attach token tells the subscribers of one entry apart; odd: never the zero of a new ring.
    const std::uint64_t who =
        (gate.attach * layout::max_max_readers + gate.reader) * 0x9e3779b97f4a7c15U;
    const std::uint64_t seen = (who ^ gate.cursor) << 1U | 1U;
    const std::uint64_t limit = std::uint64_t{topic_.ring.parameters().evict_after_ms} * 1'000'000U;
    const std::uint64_t now = base::monotonic_ns();
    const std::uint64_t last = header.watched_last.load_relaxed();
    header.watched_last.store_relaxed(now);
    // Nobody was in need for so long: whatever it did meanwhile is forgiven.
    // (Who waits looks up every 50 ms; a shorter evict_after must not make it forget.)
    constexpr std::uint64_t second = 1'000'000'000U;
    const bool forgotten = now < last || now - last > std::max(limit, second);
    if (header.watched.load_acquire() != seen || forgotten) {
        // Time first: whoever sees the new gate sees a time not older than it.
        header.watched_since.store_relaxed(now);
        header.watched.store_release(seen);
        return false;
    }
    const std::uint64_t since = header.watched_since.load_relaxed();
    return now >= since && now - since >= limit;
}

bool Gate::evict_if_stalled(Sequence s) noexcept {
    const Slowest gate = slowest(s);
    if (gate.attach == 0 || !stood_still(gate)) return false;
    topic_.ring.header().watched.store_relaxed(0);
    if (revoke_claim(gate.cursor + 1)) return true;
    // Whoever stands beside the slowest has not moved either.
    for (std::uint32_t r = 0; r < topic_.readers.reader_limit(); ++r) {
        auto& entry = topic_.readers.entry(r);
        const std::uint64_t attach = entry.attach.load_acquire();
        if (layout::mode_of(attach) == layout::ReaderMode::gate &&
            entry.cursor.load_relaxed() == gate.cursor)
            topic_.ring.lossy_mark(r).store_release(attach); // pairs with Reader::was_evicted
    }
    return true;
}

/// Subscribers wait at the claim of a publisher that was stopped: see ring/writer.hpp.
bool Gate::revoke_claim(Sequence s) noexcept {
    auto& word = topic_.ring.slot(s).stamp;
    std::uint64_t seen = word.load_acquire();
    const Stamp stamp(seen);
    if (stamp.slot_state() != SlotState::claimed || stamp.ahead_of(s) != 0) return false;
    // Sequentially consistent: before the look at `armed`.
    if (word.cas_seq_cst(seen, Stamp::slot(s, SlotState::quarantined, stamp.owner()).word()))
        topic_.event_bell().ring_if_needed();
    return true;
}

} // namespace shmbus::ring
