// What a publisher that stopped or died in the middle of publish() leaves behind, written by hand.
#pragma once

#include "support/ring_fixture.hpp"

namespace shmbus::test {

/// Lets time pass for the clocks that publishers keep together.
inline void age(const TestRing& ring, std::uint64_t ms) {
    for (std::uint32_t r = 0; r < ring.topic.readers.max_readers(); ++r) {
        auto& since = ring.topic.ring.watch(r).since;
        since.store_release(since.load_acquire() - ms * 1'000'000);
    }
}

/// The last step it took.
enum class Step { claim, tail, content, mark_published };
inline constexpr std::array all_steps{Step::claim, Step::tail, Step::content, Step::mark_published};

/// Stops `pub` in its next publish(), with the event in `chunk` unless that is no_chunk; the
/// sequence it was at.
inline Sequence stop(const TestRing& ring, const Pub& pub, Step step,
                     std::uint32_t chunk = layout::no_chunk) {
    const std::uint32_t owner = pub.id - 1;
    const Sequence s = ring.tail();
    ring.set(s, SlotState::claimed, owner);
    if (step == Step::claim) return s;
    ring.topic.ring.header().tail.store_release(s + 1);
    if (step == Step::tail) return s;
    std::array<std::byte, 16> none{};
    auto header = pub.header_of({"stopped"}, none.data());
    header.chunk = chunk;
    const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(header);
    for (std::size_t i = 0; i < words.size(); ++i)
        ring.topic.ring.slot(s).header[i].store_relaxed(words[i]);
    if (chunk == layout::no_chunk)
        base::store_bytes_relaxed(ring.topic.ring.slot(s).inline_bytes, as_bytes("stopped").data(),
                                  header.length);
    if (step == Step::mark_published && chunk != layout::no_chunk)
        ring.topic.ring.chunk_word(chunk).store_release(
            Stamp::chunk(layout::ChunkState::published, s, 0).word());
    return s;
}

} // namespace shmbus::test
