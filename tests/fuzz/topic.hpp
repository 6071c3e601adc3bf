// Scribbles over a topic's shared memory and then lets everybody loose on it: publishers,
// subscribers, the daemon. Nobody may crash, read or write elsewhere, or go round in circles.
#pragma once

#include "input.hpp"
#include "support/ring_fixture.hpp"

#include <cstdlib>

namespace shmbus::test {

/// Small, so that inputs reach all of it: 4 slots, 2 chunks.
inline layout::RingParameters fuzz_parameters(Input& input) {
    auto p = parameters(static_cast<FullPolicy>(input.take<std::uint8_t>() % 3));
    p.capacity = 4;
    p.pool_bytes = 2 * 12'288;
    p.max_publishers = 4;
    p.evict_after_ms = 0;
    p.hold_timeout_ms = input.take<std::uint8_t>() % 2;
    if (input.take<std::uint8_t>() % 2 != 0) p.first_sequence = (1ULL << 48U) - 2;
    return p;
}

/// Words at places of the input's choice, favouring the first `hot` bytes behind `first`.
inline void scribble(std::span<std::byte> memory, std::size_t first, std::size_t hot,
                     Input& input) {
    const auto count = input.take<std::uint8_t>() % 32;
    for (int i = 0; i < count && !input.empty(); ++i) {
        const auto where = input.take<std::uint16_t>();
        const std::size_t range = where % 8 == 7 ? memory.size() - first : hot;
        const std::size_t at = first + (where / 8U * 8U) % (range - 7);
        const auto word = input.take<std::uint64_t>();
        std::memcpy(memory.data() + at, &word, sizeof word);
    }
}

/// A stamp, a chunk word and the like that are nearly right.
inline std::uint64_t nearly(const TestRing& ring, Input& input) {
    const auto what = input.take<std::uint32_t>();
    const Sequence s = ring.tail() + (what & 0x1fU) - 16;
    return Stamp::slot(s, static_cast<SlotState>(what >> 8U & 0xfU), what >> 16U & 0x7U).word();
}

inline void use(const TestRing& ring, Input& input) {
    constexpr int looks = 64;
    std::vector<std::byte> buffer(ring.topic.ring.inline_capacity());
    ring::Place place;
    place.buffer = buffer.data();
    const auto choice = input.take<std::uint8_t>();
    ring::Filter filter;
    if (choice & 1U) filter.types = {0};
    if (choice & 2U) filter.key = "key", filter.key_hash = input.take<std::uint32_t>();
    ring::Reader reader(ring.topic, choice >> 2U & 0x3U, 1, (choice & 16U) != 0, filter);
    const std::array starts{Start::all(), Start::latest(), Start::last(),
                            Start::sequence(input.take<std::uint64_t>()),
                            Start::time(Start::Time(std::chrono::nanoseconds(1)))};
    reader.join(starts.at(input.take<std::uint8_t>() % starts.size()));
    std::unique_ptr<ring::Writer> writer;
    if ((choice & 64U) != 0)
        writer = std::make_unique<ring::ExclusiveWriter>(ring.topic, 0);
    else
        writer = std::make_unique<ring::SharedWriter>(ring.topic, 0);
    std::uint64_t seen = 0;
    const auto read = [&] {
        for (int i = 0; i < looks; ++i) {
            const auto look = reader.look(place);
            if (look == Look::nothing || look == Look::closed) break;
            if (look != Look::event) continue;
            // Every byte of it can be read.
            for (const auto byte : place.payload) seen += static_cast<std::uint8_t>(byte);
            const layout::ExtensionReader extension(place.extension);
            seen += extension.key().size() + extension.header(3).has_value();
            (void)reader.release(place);
            reader.acknowledge(place.sequence - (seen & 1U));
        }
    };
    for (int round = 0; round < 4; ++round) {
        read();
        layout::EventHeader header{};
        header.chunk = layout::no_chunk;
        if (choice & 32U) {
            std::uint32_t chunk = 0;
            if (writer->take_chunk(100, Deadline::now(), chunk) == PublishOutcome::published) {
                if (chunk >= ring.topic.ring.chunk_count()) std::abort();
                std::memset(ring.topic.ring.chunk(chunk).data(), 1, 100);
                header.chunk = chunk;
            }
        }
        const std::array drafts{ring::Draft{header}, ring::Draft{header}};
        ring::Run run;
        const bool one = header.chunk != layout::no_chunk;
        (void)writer->publish(std::span(drafts).first(one ? 1 : 2), Deadline::now(), run);
    }
    read();
    for (std::uint32_t p = 0; p < 4; ++p) (void)ring::reap_publisher(ring.topic, p);
    for (std::uint32_t r = 0; r < 64; ++r) ring::reap_reader(ring.topic, r);
    reader.leave();
}

/// Some events, a claim, a hold: something to damage.
inline void begin(const TestRing& ring) {
    Pub pub(ring, 1);
    for (int i = 0; i < 3; ++i) (void)pub.publish({"payload", "key", 1, 0});
    (void)pub.publish_in_chunk({"large", "key", 1, 0});
    ring::lease_publisher(ring.topic, 0, 1, 1);
    for (std::uint32_t r = 0; r < 4; ++r) ring::lease_reader(ring.topic, r, 1000, 1);
}

} // namespace shmbus::test
