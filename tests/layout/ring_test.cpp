// Geometry: everything aligned, apart, inside, and within what was asked for.
#include "layout/ring.hpp"

#include "layout/extension.hpp"
#include "layout/readers.hpp"
#include "shmbus/types.hpp"
#include "support/ring_fixture.hpp"

#include <functional>
#include <gtest/gtest.h>

namespace shmbus::layout {
namespace {

RingParameters defaults() {
    const TopicOptions options;
    auto p = test::parameters();
    p.capacity = options.capacity;
    p.slot_bytes = options.slot_bytes;
    p.max_event = options.max_event;
    p.pool_bytes = options.pool_bytes;
    p.max_publishers = 256;
    p.max_readers = 256;
    return p;
}

RingParameters with(const std::function<void(RingParameters&)>& change) {
    auto p = test::parameters();
    change(p);
    return p;
}

/// Some of every kind.
std::vector<RingParameters> various() {
    std::vector<RingParameters> all{test::parameters(), defaults()};
    all.push_back(with([](auto& p) { p.capacity = min_capacity; }));
    all.push_back(with([](auto& p) { p.slot_bytes = max_slot_bytes; }));
    all.push_back(with([](auto& p) { p.max_event = 64, p.pool_bytes = 0; }));
    all.push_back(with([](auto& p) { p.max_event = 1, p.pool_bytes = 2 * page; }));
    all.push_back(with([](auto& p) { p.max_event = 1U << 20U, p.pool_bytes = 1U << 24U; }));
    all.push_back(
        with([](auto& p) { p.max_event = max_max_event, p.pool_bytes = max_pool_bytes; }));
    all.push_back(with([](auto& p) { p.max_publishers = max_max_publishers; }));
    all.push_back(with([](auto& p) { p.max_readers = max_max_readers; }));
    // A pool with room for exactly one event of the largest size.
    all.push_back(with([](auto& p) { p.max_event = 1U << 20U, p.pool_bytes = 1'056'768; }));
    return all;
}

TEST(Geometry, AllOfTheseAreValid) {
    for (const auto& p : various()) EXPECT_EQ(problem_with(p), "");
}

TEST(Geometry, PartsFollowEachOtherWithoutOverlap) {
    for (const auto& p : various()) {
        const auto g = geometry_of(p);
        EXPECT_EQ(g.watches, page);
        EXPECT_GE(g.publishers, g.watches + p.max_readers * sizeof(ReaderWatch));
        EXPECT_EQ(g.publishers % 64, 0U);
        EXPECT_GE(g.chunk_words, g.publishers + p.max_publishers * sizeof(PublisherEntry));
        EXPECT_GE(g.slots, g.chunk_words + g.chunk_count * sizeof(ChunkWord));
        EXPECT_EQ(g.slots % page, 0U);
        EXPECT_GE(g.slots_end, g.slots + std::uint64_t{p.capacity} * p.slot_bytes);
        EXPECT_EQ(g.total_bytes % page, 0U);
        std::uint64_t end = g.slots_end;
        std::uint32_t chunks = 0;
        for (std::uint32_t c = 0; c < g.class_count; ++c) {
            EXPECT_EQ(g.classes[c].offset, end);
            EXPECT_EQ(g.classes[c].first, chunks);
            EXPECT_GT(g.classes[c].count, 0U);
            EXPECT_EQ(g.classes[c].bytes % page, 0U);
            if (c > 0) {
                EXPECT_GT(g.classes[c].bytes, g.classes[c - 1].bytes);
            }
            end += g.classes[c].bytes * g.classes[c].count;
            chunks += g.classes[c].count;
        }
        EXPECT_EQ(g.chunk_count, chunks);
        EXPECT_EQ(g.total_bytes, end);
    }
}

TEST(Geometry, ThePoolTakesNoMoreThanItMay) {
    for (const auto& p : various()) {
        const auto g = geometry_of(p);
        EXPECT_LE(g.total_bytes - g.slots_end, p.pool_bytes)
            << p.max_event << " of " << p.pool_bytes;
    }
}

TEST(Geometry, TheLargestChunkTakesTheLargestEventWithEverythingThatMayTravelWithIt) {
    for (const auto& p : various()) {
        const auto g = geometry_of(p);
        if (p.pool_bytes == 0) continue;
        ASSERT_GT(g.class_count, 0U);
        const std::uint64_t aligned_extension = (max_extension_bytes + 63) / 64 * 64;
        EXPECT_GE(g.classes[g.class_count - 1].bytes, p.max_event + aligned_extension);
    }
}

TEST(Geometry, ReadersObjectHasRoomForAll) {
    for (const auto& p : various()) {
        const auto g = readers_geometry_of(p);
        EXPECT_EQ(g.entries, sizeof(ReadersHeader));
        EXPECT_EQ(g.cells, g.entries + p.max_readers * sizeof(ReaderEntry));
        EXPECT_EQ(g.bits, g.cells + std::uint64_t{p.max_readers} * hold_cells * sizeof(HoldCell));
        EXPECT_EQ(g.words_per_chunk * 64U, p.max_readers);
        EXPECT_GE(g.total_bytes, g.bits + std::uint64_t{geometry_of(p).chunk_count} *
                                              g.words_per_chunk * sizeof(HoldBits));
        EXPECT_EQ(g.total_bytes % page, 0U);
    }
}

TEST(Parameters, OutsideTheirLimitsAreRefused) {
    const std::vector<RingParameters> refused{
        with([](auto& p) { p.capacity = 0; }),
        with([](auto& p) { p.capacity = 1; }),
        with([](auto& p) { p.capacity = 12; }),
        with([](auto& p) { p.capacity = max_capacity * 2; }),
        with([](auto& p) { p.slot_bytes = 64; }),
        with([](auto& p) { p.slot_bytes = 192; }),
        with([](auto& p) { p.slot_bytes = max_slot_bytes * 2; }),
        with([](auto& p) { p.max_event = 0; }),
        with([](auto& p) { p.max_event = max_max_event + 1; }),
        with([](auto& p) { p.max_event = ~0ULL; }),
        with([](auto& p) { p.pool_bytes = max_pool_bytes + 1; }),
        with([](auto& p) { p.pool_bytes = 8192; }),
        with([](auto& p) { p.pool_bytes = 0; }),
        with([](auto& p) { p.max_event = 1, p.pool_bytes = max_pool_bytes; }), // 8 million chunks
        with([](auto& p) { p.first_sequence = 0; }),
        with([](auto& p) { p.first_sequence = 1ULL << 63U; }),
        with([](auto& p) { p.max_publishers = 0; }),
        with([](auto& p) { p.max_publishers = 4096; }),
        with([](auto& p) { p.max_readers = 0; }),
        with([](auto& p) { p.max_readers = 65; }),
        with([](auto& p) { p.max_readers = 1088; }),
        with([](auto& p) { p.evict_after_ms = 0; }),
        with([](auto& p) { p.hold_timeout_ms = 0; }),
        with([](auto& p) { p.full_policy = 3; }),
        with([](auto& p) { p.gate = 3; }),
    };
    for (std::size_t i = 0; i < refused.size(); ++i) EXPECT_NE(problem_with(refused[i]), "") << i;
}

TEST(Parameters, APublisherIndexAlwaysFitsAStamp) {
    EXPECT_LE(max_max_publishers - 1U, Stamp::max_owner);
}

TEST(Layout, TheMagicNumberReadsAsText) { EXPECT_EQ(std::memcmp(&ring_magic, "shmring1", 8), 0); }

} // namespace
} // namespace shmbus::layout
