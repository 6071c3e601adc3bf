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
        // Nor for who is not of the entry's lease: anybody may have written that. After `attach`,
        // since the daemon noted the lease before its holder could attach.
        if (!layout::same_lease(watch.seen.load_acquire(), layout::seen_word(attach, 0, false)))
            continue;
        // Sequentially consistent: the second look of a publisher that arms the space bell.
        visit(Standing{watch, mark, attach, entry.cursor.load_seq_cst()});
    }
}

Sequence Gate::slowest(Sequence ceiling) const noexcept {
    for_each_gate([&](const Standing& reader) { ceiling = std::min(ceiling, reader.cursor); });
    return ceiling;
}

bool Gate::is_storage() const noexcept {
    return topic_.ring.parameters().gate != static_cast<std::uint8_t>(layout::GateKind::readers);
}

/// What the storage has, not beyond what there is.
Sequence Gate::stored() const noexcept {
    const auto& header = topic_.ring.header();
    const Sequence newest = header.tail.load_acquire() - 1;
    // Sequentially consistent: the second look of a publisher that arms the space bell; pairs with
    // set_stored().
    const bool durable =
        topic_.ring.parameters().gate == static_cast<std::uint8_t>(layout::GateKind::durable);
    return std::min(newest, (durable ? header.durable : header.written).load_seq_cst());
}

Sequence Gate::refresh() noexcept {
    if (is_storage()) {
        cached_ = std::max(cached_, stored());
        return cached_;
    }
    // The tail is read before the table: an empty table means "up to what was there", not "all".
    const Sequence newest = topic_.ring.header().tail.load_acquire() - 1;
    Sequence gate = slowest(newest);
    if (gate > entry_.gate.load_relaxed()) entry_.gate.store_relaxed(gate);
    base::full_fence(); // pairs with Reader::announce; model gate -DTWOSIDED, -DMUT_ONELOOK
    gate = std::min(gate, slowest(newest));
    cached_ = std::max(cached_, gate);
    return cached_;
}

/// How far a subscriber has come. What was overwritten before it was read does not count: whoever
/// creeps through that is not on its way, as no event is left there.
Gate::Place Gate::place_of(const Standing& reader) const noexcept {
    const auto& ring = topic_.ring;
    const Sequence first = ring.parameters().first_sequence;
    const Sequence tail = ring.header().tail.load_acquire();
    const Sequence oldest = tail - first > ring.capacity() ? tail - ring.capacity() : first;
    const Sequence last = std::max(reader.cursor, oldest - 1);
    const Stamp next(ring.slot(last + 1).stamp.load_acquire());
    return {last, next.slot_state() == SlotState::claimed && next.ahead_of(last + 1) == 0};
}

/// `now`: from before the look at the reader (model lease -DMUT_JUDGE_LATE).
bool Gate::stood_still(const Standing& reader, const Place& place,
                       std::uint64_t now) const noexcept {
    // One clock for each lease, whatever the tokens: they are the subscriber's to write. Whoever
    // stands at a claim has all its time before it when the claim has its outcome.
    const std::uint64_t found = layout::seen_word(reader.attach, place.last, !place.at_claim);
    std::uint64_t seen = reader.watch.seen.load_acquire(); // pairs with the CAS below
    if (!layout::same_lease(seen, found)) return false;    // it is gone meanwhile
    if (static_cast<std::int64_t>((found - seen) << (64 - layout::progress_bits)) > 0) {
        // The time first, and never back: whoever sees what was found sees a time at which it was
        // there (model lease -DMUT_SEEN_FIRST, -DMUT_TIME_BACK). Not `now`, at which it may not have
        // been there yet (-DMUT_NOTE_EARLY).
        reader.watch.since.raise_seq_cst(base::monotonic_ns());
        (void)reader.watch.seen.cas_release(seen, found);
        return false;
    }
    const std::uint64_t since = reader.watch.since.load_relaxed();
    const std::uint64_t limit = std::uint64_t{topic_.ring.parameters().evict_after_ms} * 1'000'000U;
    return now >= since && now - since >= limit;
}

/// Who joins again has another evict_after: its clock starts before anybody can see that it did
/// (model lease -DMUT_MARK_FIRST).
bool Gate::evict(const Standing& reader) noexcept {
    reader.watch.since.raise_seq_cst(base::monotonic_ns());
    std::uint64_t mark = reader.mark;
    return reader.watch.lossy.cas_acq_rel(mark, reader.attach); // pairs with Reader::was_evicted
}

/// The storage may wait for a publisher that was stopped inside its claim.
bool Gate::revoke_if_storage_waits() noexcept {
    const std::uint64_t now = base::monotonic_ns();
    const Sequence written = topic_.ring.header().written.load_acquire();
    if (written != stood_at_ || stood_since_ns_ == 0) {
        stood_at_ = written;
        stood_since_ns_ = base::monotonic_ns(); // not `now`: it may not have been there yet
        return false;
    }
    const std::uint64_t limit = std::uint64_t{topic_.ring.parameters().evict_after_ms} * 1'000'000U;
    return now - stood_since_ns_ >= limit && revoke_claim(written + 1);
}

bool Gate::evict_if_stalled(Sequence s) noexcept {
    if (is_storage()) return revoke_if_storage_waits();
    const std::uint64_t now = base::monotonic_ns();
    bool done = false;
    for_each_gate([&](const Standing& reader) {
        if (reader.cursor >= s) return;
        const Place place = place_of(reader);
        if (!stood_still(reader, place, now)) return;
        done |= place.at_claim ? revoke_claim(place.last + 1) : evict(reader);
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
