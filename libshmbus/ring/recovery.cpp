#include "ring/recovery.hpp"

#include "ring/slot.hpp"

#include <algorithm>

namespace shmbus::ring {

using layout::ChunkState;

namespace {

/// Ends what one of `dead` has under way in one slot; which sequence that was, 0: there was nothing.
Sequence abort_claim(const RingView& ring, base::Word64& word, const Entries& dead) noexcept {
    std::uint64_t seen = word.load_acquire();
    // A publisher may step over the slot at this moment, once a lap. More than a few times is a
    // publisher gone wild, and the daemon has others to look after.
    for (int attempts = 0; attempts < 1000; ++attempts) {
        const Stamp stamp(seen);
        const bool writing = stamp.slot_state() == SlotState::claimed ||
                             stamp.slot_state() == SlotState::quarantined;
        if (!writing || !dead[stamp.owner()]) return 0;
        const Sequence s = stamp.sequence(ring.header().tail.load_acquire());
        // Publishers step over quarantined slots meanwhile: then look at what it became.
        if (!word.cas_acq_rel(seen, Stamp::slot(s, SlotState::aborted).word())) continue;
        return s;
    }
    return 0;
}

/// Whoever died between claim and tail, publisher or daemon: does what any publisher would do. An
/// exclusive publisher claims several before it moves the tail.
void help_tail(const RingView& ring) noexcept {
    for (std::uint32_t i = 0; i < ring.capacity(); ++i) {
        Sequence tail = ring.header().tail.load_acquire();
        const Stamp stamp(ring.slot(tail).stamp.load_acquire());
        if (stamp.word() == 0 || stamp.ahead_of(tail) != 0) return;
        (void)ring.header().tail.cas_release(tail, tail + 1);
    }
}

void raise(base::Word32& limit, std::uint32_t to) noexcept {
    limit.store_release(std::max(limit.load_relaxed(), to)); // one writer: the daemon
}

/// Whoever opens the topic next checks it. The ring's copy is out of subscribers' reach.
void restore_identity(const Topic& topic) noexcept {
    identify_readers(topic.readers.header(), topic.ring.parameters(), topic.ring.header().topic);
}

} // namespace

Reaped reap_publishers(const Topic& topic, const Entries& dead) noexcept {
    Reaped reaped;
    for (std::uint32_t i = 0; i < topic.ring.capacity(); ++i) {
        const Sequence s = abort_claim(topic.ring, topic.ring.slot(i).stamp, dead);
        if (s == 0) continue;
        reaped.first = reaped.claims++ == 0 ? s : std::min(reaped.first, s);
        reaped.last = std::max(reaped.last, s);
    }
    help_tail(topic.ring);
    // Wake first, free then: subscribers wait for the tombstone, nobody waits for the chunks yet.
    ring_bells(topic);
    for (std::uint32_t c = 0; c < topic.ring.chunk_count(); ++c) {
        std::uint64_t word = topic.ring.chunk_word(c).load_relaxed();
        const Stamp stamp(word);
        if (stamp.chunk_state() == ChunkState::owned && dead[stamp.owner()] &&
            topic.ring.chunk_word(c).cas_release(word, 0)) // pairs with Pool::take_from
            ++reaped.chunks;
    }
    for (std::uint32_t p = 0; p < topic.ring.parameters().max_publishers; ++p) {
        if (!dead[p]) continue;
        auto& entry = topic.ring.publisher(p);
        entry.gate.store_relaxed(0);
        entry.pid.store_relaxed(0);
        entry.id.store_release(0);
    }
    if (reaped.chunks != 0) ring_bells(topic);
    return reaped;
}

Quarantined quarantine_claims(const Topic& topic, const Entries& owners, Sequence first,
                              Sequence last) noexcept {
    Quarantined done;
    for (Sequence s = first; s != last + 1; ++s) {
        auto& word = topic.ring.slot(s).stamp;
        std::uint64_t seen = word.load_acquire();
        const Stamp stamp(seen);
        if (stamp.slot_state() != SlotState::claimed || stamp.ahead_of(s) != 0 ||
            !owners[stamp.owner()])
            continue;
        // Pairs with the owner's commit, one of which fails (model slot).
        if (!word.cas_seq_cst(seen, Stamp::slot(s, SlotState::quarantined, stamp.owner()).word()))
            continue;
        if (done.claims++ == 0) done.first = s;
        done.last = s;
        done.owners.set(stamp.owner());
    }
    if (done.claims != 0) ring_bells(topic);
    return done;
}

void reap_readers(const Topic& topic, const Entries& dead) noexcept {
    std::array<std::uint64_t, layout::max_max_readers / 64> gone{};
    std::uint32_t limit = 0;
    for (std::uint32_t r = 0; r < topic.readers.max_readers(); ++r) {
        if (!dead[r]) {
            limit = r + 1;
            continue;
        }
        gone[r / 64] |= std::uint64_t{1} << r % 64;
        auto& entry = topic.readers.entry(r);
        entry.attach.store_release(0); // off the gate
        topic.ring.watch(r).seen.store_release(0);
        entry.pid.store_relaxed(0);
    }
    topic.readers.header().reader_limit.store_release(limit);
    restore_identity(topic);
    // Every bit, not only those their cells name: a subscriber may have written anything.
    for (std::uint32_t c = 0; c < topic.ring.chunk_count(); ++c) {
        auto* bits = topic.readers.bits(c);
        for (std::uint32_t w = 0; w < topic.readers.words_per_chunk(); ++w)
            if ((bits[w].load_relaxed() & gone[w]) != 0) bits[w].fetch_and_seq_cst(~gone[w]);
    }
    for (std::uint32_t r = 0; r < topic.readers.max_readers(); ++r) {
        if (!dead[r]) continue;
        auto* cells = topic.readers.cells(r);
        for (std::uint32_t i = 0; i < layout::hold_cells; ++i) cells[i].store_release(0);
    }
    topic.event_bell().heal();
    topic.space_bell().heal();
    ring_bells(topic);
}

void lease_publisher(const Topic& topic, std::uint32_t owner, std::uint32_t id,
                     std::uint32_t pid) noexcept {
    restore_identity(topic);
    auto& entry = topic.ring.publisher(owner);
    entry.gate.store_relaxed(0);
    entry.pid.store_relaxed(pid);
    entry.id.store_release(id);
    raise(topic.ring.header().publisher_limit, owner + 1); // pairs with RingView::publisher_limit
}

void lease_reader(const Topic& topic, std::uint32_t reader, std::uint64_t token,
                  std::uint32_t pid) noexcept {
    restore_identity(topic);
    const auto attach = layout::attach_word(token, layout::ReaderMode::gate);
    // Behind wherever it may join, so that the first look at it starts its clock.
    const Sequence behind = topic.ring.header().tail.load_acquire() - topic.ring.capacity() - 2;
    topic.ring.watch(reader).seen.store_release(layout::seen_word(attach, behind, false));
    topic.readers.entry(reader).pid.store_relaxed(pid);
    raise(topic.readers.header().reader_limit, reader + 1); // pairs with ReadersView::reader_limit
}

void set_state(const Topic& topic, layout::RingState state) noexcept {
    // Sequentially consistent: pairs with the second look of Writer::claim and Reader::resolve.
    topic.ring.header().state.exchange_seq_cst(static_cast<std::uint32_t>(state));
    ring_bells(topic);
}

void end_ring(layout::RingHeader& header) noexcept {
    header.state.exchange_seq_cst(static_cast<std::uint32_t>(layout::RingState::removed));
    header.wake.fetch_add_seq_cst(1);
    base::futex_wake_all(header.wake); // publishers look up by themselves
}

void set_stored(const Topic& topic, layout::Sequence written, layout::Sequence durable) noexcept {
    auto& header = topic.ring.header();
    // Sequentially consistent: before the look at `armed`. Pairs with Gate::stored, and with the look
    // of Writer::wait_durable; the release in it tells subscribers that the file has the bytes.
    header.written.exchange_seq_cst(written);
    header.durable.exchange_seq_cst(durable);
    topic.space_bell().ring_if_needed();
}

std::uint64_t last_event_of(const Topic& topic, std::uint32_t publisher) noexcept {
    std::uint64_t last = 0;
    for (std::uint32_t i = 0; i < topic.ring.capacity(); ++i) {
        const Slot& slot = topic.ring.slot(i);
        const std::uint64_t stamp = slot.stamp.load_acquire();
        const auto state = Stamp(stamp).slot_state();
        if (state != SlotState::committed && state != SlotState::evicted) continue;
        layout::EventHeader header;
        load_header(slot, header);
        base::acquire_fence(); // pairs with the release fence of who overwrites it (litmus A3)
        if (header.publisher == publisher && slot.stamp.load_relaxed() == stamp)
            last = std::max(last, header.event_id);
    }
    return last;
}

void ring_bells(const Topic& topic) noexcept {
    topic.event_bell().ring();
    topic.space_bell().ring();
}

} // namespace shmbus::ring
