#include "ring/recovery.hpp"

#include <algorithm>

namespace shmbus::ring {

using layout::ChunkState;

namespace {

/// Ends what `owner` has under way in one slot; whether there was anything.
bool abort_claim(const RingView& ring, base::Word64& word, std::uint32_t owner) noexcept {
    std::uint64_t seen = word.load_acquire();
    // A publisher may step over the slot at this moment, once a lap. More than a few times is a
    // publisher gone wild, and the daemon has others to look after.
    for (int attempts = 0; attempts < 1000; ++attempts) {
        const Stamp stamp(seen);
        const bool writing = stamp.slot_state() == SlotState::claimed ||
                             stamp.slot_state() == SlotState::quarantined;
        if (!writing || stamp.owner() != owner) return false;
        const Sequence s = stamp.sequence(ring.header().tail.load_acquire());
        // Publishers step over quarantined slots meanwhile: then look at what it became.
        if (!word.cas_acq_rel(seen, Stamp::slot(s, SlotState::aborted).word())) continue;
        return true;
    }
    return false;
}

/// Whoever died between claim and tail, publisher or daemon: does what any publisher would do.
void help_tail(const RingView& ring) noexcept {
    Sequence tail = ring.header().tail.load_acquire();
    const Stamp stamp(ring.slot(tail).stamp.load_acquire());
    if (stamp.word() != 0 && stamp.ahead_of(tail) == 0)
        (void)ring.header().tail.cas_release(tail, tail + 1);
}

void raise(base::Word32& limit, std::uint32_t to) noexcept {
    limit.store_release(std::max(limit.load_relaxed(), to)); // one writer: the daemon
}

} // namespace

Reaped reap_publisher(const Topic& topic, std::uint32_t owner) noexcept {
    Reaped reaped;
    for (std::uint32_t i = 0; i < topic.ring.capacity(); ++i)
        if (abort_claim(topic.ring, topic.ring.slot(i).stamp, owner)) ++reaped.claims;
    help_tail(topic.ring);
    // Wake first, free then: subscribers wait for the tombstone, nobody waits for the chunks yet.
    ring_bells(topic);
    const std::uint64_t owned = Stamp::chunk(ChunkState::owned, 0, owner).word();
    for (std::uint32_t c = 0; c < topic.ring.chunk_count(); ++c) {
        std::uint64_t expected = owned;
        if (topic.ring.chunk_word(c).load_relaxed() == owned &&
            topic.ring.chunk_word(c).cas_release(expected, 0)) // pairs with Pool::take_from
            ++reaped.chunks;
    }
    auto& entry = topic.ring.publisher(owner);
    entry.gate.store_relaxed(0);
    entry.pid.store_relaxed(0);
    entry.id.store_release(0);
    if (reaped.chunks != 0) ring_bells(topic);
    return reaped;
}

void reap_reader(const Topic& topic, std::uint32_t reader) noexcept {
    auto& entry = topic.readers.entry(reader);
    entry.attach.store_release(0); // off the gate
    entry.pid.store_relaxed(0);
    // Every bit, not only those its cells name: a subscriber may have written anything.
    const std::uint64_t others = ~(std::uint64_t{1} << reader % 64);
    for (std::uint32_t c = 0; c < topic.ring.chunk_count(); ++c) {
        auto& bits = topic.readers.bits(c)[reader / 64];
        if ((bits.load_relaxed() & ~others) != 0) bits.fetch_and_seq_cst(others);
    }
    auto* cells = topic.readers.cells(reader);
    for (std::uint32_t i = 0; i < layout::hold_cells; ++i) cells[i].store_release(0);
    topic.space_bell().ring();
}

void lease_publisher(const Topic& topic, std::uint32_t owner, std::uint32_t id,
                     std::uint32_t pid) noexcept {
    auto& entry = topic.ring.publisher(owner);
    entry.gate.store_relaxed(0);
    entry.pid.store_relaxed(pid);
    entry.id.store_release(id);
    raise(topic.ring.header().publisher_limit, owner + 1); // pairs with RingView::publisher_limit
}

void lease_reader(const Topic& topic, std::uint32_t reader, std::uint32_t pid) noexcept {
    topic.readers.entry(reader).pid.store_relaxed(pid);
    raise(topic.readers.header().reader_limit, reader + 1); // pairs with ReadersView::reader_limit
}

void set_state(const Topic& topic, layout::RingState state) noexcept {
    // Sequentially consistent: pairs with the second look of Writer::claim and Reader::resolve.
    topic.ring.header().state.exchange_seq_cst(static_cast<std::uint32_t>(state));
    ring_bells(topic);
}

void ring_bells(const Topic& topic) noexcept {
    topic.event_bell().ring();
    topic.space_bell().ring();
}

} // namespace shmbus::ring
