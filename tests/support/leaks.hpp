// What is left over in a ring when nobody uses it any more: nothing should be.
#pragma once

#include "support/ring_fixture.hpp"

namespace shmbus::test {

namespace leaks_detail {

inline void in_slots(const ring::Topic& topic, Strings& leaks) {
    const auto& ring = topic.ring;
    const Sequence tail = ring.header().tail.load_acquire();
    const Sequence first = ring.parameters().first_sequence;
    const Sequence oldest = tail - first > ring.capacity() ? tail - ring.capacity() : first;
    for (Sequence s = oldest; s < oldest + ring.capacity(); ++s) {
        const Stamp stamp(ring.slot(s).stamp.load_acquire());
        const bool is_final = stamp == Stamp::slot(s, SlotState::committed) ||
                              stamp == Stamp::slot(s, SlotState::aborted) ||
                              stamp == Stamp::slot(s, SlotState::evicted);
        if (s < tail ? !is_final : stamp.word() != 0)
            leaks.push_back("slot of " + std::to_string(s) + " has state " +
                            std::to_string(static_cast<int>(stamp.slot_state())) + ", sequence " +
                            std::to_string(stamp.sequence(tail)) + ", owner " +
                            std::to_string(stamp.owner()));
    }
}

/// A chunk is in order when it is free, when its event is in the ring and names it, or when its
/// event's slot has moved on, so that it may be taken.
inline void in_chunks(const ring::Topic& topic, Strings& leaks) {
    const Sequence tail = topic.ring.header().tail.load_acquire();
    for (std::uint32_t c = 0; c < topic.ring.chunk_count(); ++c) {
        const Stamp chunk(topic.ring.chunk_word(c).load_acquire());
        const auto leak = [&](const char* why) {
            leaks.push_back("chunk " + std::to_string(c) + ": " + why);
        };
        if (chunk.word() == 0) continue;
        if (chunk.chunk_state() != layout::ChunkState::published) {
            leak("owned by nobody that lives");
            continue;
        }
        const Sequence s = chunk.sequence(tail);
        const auto& slot = topic.ring.slot(s);
        const Stamp stamp(slot.stamp.load_acquire());
        if (s >= tail || stamp.word() == 0 || stamp.ahead_of(s) < 0) leak("of an event to come");
        if (stamp == Stamp::slot(s, SlotState::claimed, stamp.owner())) leak("of a claim");
        // Two halves of one word: length below, chunk above.
        const auto named = static_cast<std::uint32_t>(slot.header[1].load_relaxed() >> 32U);
        if (stamp == Stamp::slot(s, SlotState::committed) && named != c)
            leak("its event names another chunk");
    }
}

inline void in_readers(const ring::Topic& topic, Strings& leaks) {
    for (std::uint32_t r = 0; r < topic.readers.max_readers(); ++r) {
        const auto reader = "reader " + std::to_string(r);
        if (topic.readers.entry(r).attach.load_acquire() != 0) leaks.push_back(reader + ": entry");
        if (topic.readers.entry(r).pid.load_acquire() != 0) leaks.push_back(reader + ": pid");
        for (std::uint32_t i = 0; i < layout::hold_cells; ++i)
            if (topic.readers.cells(r)[i].load_acquire() != 0)
                leaks.push_back(reader + ": cell " + std::to_string(i));
    }
    for (std::uint32_t c = 0; c < topic.ring.chunk_count(); ++c)
        for (std::uint32_t w = 0; w < topic.readers.words_per_chunk(); ++w)
            if (topic.readers.bits(c)[w].load_acquire() != 0)
                leaks.push_back("hold bits of chunk " + std::to_string(c));
}

inline void in_publishers(const ring::Topic& topic, Strings& leaks) {
    for (std::uint32_t p = 0; p < topic.ring.parameters().max_publishers; ++p) {
        const auto& entry = topic.ring.publisher(p);
        if (entry.id.load_acquire() != 0 || entry.pid.load_acquire() != 0 ||
            entry.gate.load_acquire() != 0)
            leaks.push_back("publisher " + std::to_string(p));
    }
}

} // namespace leaks_detail

/// Claims, chunks, hold bits, cells and entries that nobody will ever give back. To be asked when
/// all publishers and subscribers were reaped.
inline Strings leaks(const ring::Topic& topic) {
    Strings leaks;
    leaks_detail::in_slots(topic, leaks);
    leaks_detail::in_chunks(topic, leaks);
    leaks_detail::in_readers(topic, leaks);
    leaks_detail::in_publishers(topic, leaks);
    return leaks;
}

/// Reaps everybody first.
inline Strings leaks_after_all_are_gone(const ring::Topic& topic) {
    for (std::uint32_t p = 0; p < topic.ring.parameters().max_publishers; ++p)
        (void)ring::reap_publisher(topic, p);
    for (std::uint32_t r = 0; r < topic.readers.max_readers(); ++r) ring::reap_reader(topic, r);
    return leaks(topic);
}

} // namespace shmbus::test
