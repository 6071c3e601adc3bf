// A slot, and how its header gets into it and out of it.
#pragma once

#include "layout/ring.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace shmbus::ring {

/// The stamp, 7 words of EventHeader, then extension block and payload.
struct Slot {
    base::Word64 stamp;
    base::Word64 header[7];
    base::Word64 inline_bytes[1]; // (slot_bytes - 64) / 8 of them
};

// A load from bytes that were just stored in smaller pieces waits until all of these have left the
// core's store buffer, a dozen cycles each time. So both functions go from fields to words, and from
// words to fields, one at a time.

inline void store_header(Slot& slot, const layout::EventHeader& from) noexcept {
    const auto correlation = std::bit_cast<std::array<std::uint64_t, 2>>(from.correlation);
    slot.header[0].store_relaxed(from.time_ns);
    slot.header[1].store_relaxed(from.length | std::uint64_t{from.chunk} << 32U);
    slot.header[2].store_relaxed(from.type | std::uint64_t{from.publisher} << 32U);
    slot.header[3].store_relaxed(from.key_hash | std::uint64_t{from.flags} << 32U |
                                 std::uint64_t{from.extension} << 48U);
    slot.header[4].store_relaxed(correlation[0]);
    slot.header[5].store_relaxed(correlation[1]);
    slot.header[6].store_relaxed(from.event_id);
}

inline void load_header(const Slot& slot, layout::EventHeader& to) noexcept {
    auto* bytes = reinterpret_cast<std::byte*>(&to);
    for (const auto& from : slot.header) {
        const std::uint64_t word = from.load_relaxed();
        std::memcpy(bytes, &word, sizeof word);
        bytes += sizeof word;
    }
}

} // namespace shmbus::ring
