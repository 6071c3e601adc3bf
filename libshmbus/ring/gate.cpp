#include "ring/gate.hpp"

#include "base/clock.hpp"

#include <algorithm>

namespace shmbus::ring {

Gate::Gate(const Topic& topic, std::uint32_t owner) noexcept
    : topic_(topic), entry_(topic.ring.publisher(owner)),
      cached_(topic.ring.parameters().first_sequence - 1) {}

/// Every subscriber that publishers wait for, and where it stands.
template <class Visit> void Gate::for_each_gate(Visit visit) const noexcept {
    const std::uint32_t limit = topic_.readers.reader_limit();
    for (std::uint32_t r = 0; r < limit; ++r) {
        auto& entry = topic_.readers.entry(r);
        auto& watch = topic_.ring.watch(r);
        // The mark before the token: whoever marks by what it saw here and comes too late fails
        // (model lossy -DMUT_MARK_ORDER).
        const std::uint64_t mark = watch.lossy.load_acquire();
        const std::uint64_t attach = entry.attach.load_acquire(); // pairs with Reader::announce
        if (layout::mode_of(attach) != layout::ReaderMode::gate || mark == attach) continue;
        // Sequentially consistent: the second look of a publisher that arms the space bell.
        visit(Standing{watch, mark, attach, entry.cursor.load_seq_cst()});
    }
}

Sequence Gate::slowest(Sequence ceiling) const noexcept {
    for_each_gate([&](const Standing& reader) { ceiling = std::min(ceiling, reader.cursor); });
    return ceiling;
}

Sequence Gate::refresh() noexcept {
    // The tail is read before the table: an empty table means "up to what was there", not "all".
    const Sequence newest = topic_.ring.header().tail.load_acquire() - 1;
    Sequence gate = slowest(newest);
    if (gate > entry_.gate.load_relaxed()) entry_.gate.store_relaxed(gate);
    base::full_fence(); // pairs with Reader::announce; model gate -DTWOSIDED, -DMUT_ONELOOK
    gate = std::min(gate, slowest(newest));
    cached_ = std::max(cached_, gate);
    return cached_;
}

bool Gate::stood_still(const Standing& reader, std::uint64_t now) const noexcept {
    // 16 bits for who, odd, so never the zero of a new ring; 48 for how far it has come.
    constexpr unsigned progress_bits = 48;
    const std::uint64_t who = (reader.attach * 0x9e3779b97f4a7c15U >> progress_bits) | 1U;
    const std::uint64_t found =
        who << progress_bits | (reader.cursor & ((std::uint64_t{1} << progress_bits) - 1));
    std::uint64_t seen = reader.watch.seen.load_acquire(); // pairs with the CAS below
    const bool same = seen >> progress_bits == who;
    const bool moved_on = static_cast<std::int64_t>((found - seen) << (64 - progress_bits)) > 0;
    if (!same || moved_on) {
        // The time first, and never back: whoever sees what was found sees a time no older than it.
        reader.watch.since.raise_seq_cst(now);
        (void)reader.watch.seen.cas_release(seen, found);
        return false;
    }
    const std::uint64_t since = reader.watch.since.load_relaxed();
    const std::uint64_t limit = std::uint64_t{topic_.ring.parameters().evict_after_ms} * 1'000'000U;
    return now >= since && now - since >= limit;
}

bool Gate::evict_if_stalled(Sequence s) noexcept {
    const std::uint64_t now = base::monotonic_ns();
    const auto for_each_stalled = [&](auto visit) {
        for_each_gate([&](const Standing& reader) {
            if (reader.cursor < s && stood_still(reader, now)) visit(reader);
        });
    };
    bool revoked = false;
    for_each_stalled([&](const Standing& r) { revoked |= revoke_claim(r.cursor + 1); });
    bool done = revoked;
    for_each_stalled([&](const Standing& reader) {
        std::uint64_t mark = reader.mark;
        if (revoked)
            reader.watch.seen.store_relaxed(0);
        else // pairs with Reader::was_evicted
            done |= reader.watch.lossy.cas_acq_rel(mark, reader.attach);
    });
    return done;
}

/// Subscribers wait at the claim of a publisher that was stopped: see ring/shared_writer.hpp.
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
