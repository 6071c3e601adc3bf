// From bytes to structs: what is refused, and that no index leads outside.
#include "ring/view.hpp"

#include "base/mapping.hpp"
#include "base/memfd.hpp"
#include "shmbus/error.hpp"
#include "support/subscriber.hpp"

#include <functional>

namespace shmbus::test {
namespace {

/// The code of the Error that `check` throws; nothing if none.
template <class Check> std::optional<Errc> code_of(Check check) {
    try {
        check();
    } catch (const Error& e) {
        return e.code();
    }
    return {};
}

std::optional<Errc> refusal_of_ring(const TestRing& ring) {
    return code_of([&] { ring::check_ring(ring.ring_bytes(), parameters(), a_topic); });
}
std::optional<Errc> refusal_of_readers(const TestRing& ring) {
    return code_of([&] { ring::check_readers(ring.readers_bytes(), parameters(), a_topic); });
}

TEST(View, WhatWasFormattedPassesTheChecks) {
    const TestRing ring(parameters());
    EXPECT_FALSE(refusal_of_ring(ring));
    EXPECT_FALSE(refusal_of_readers(ring));
}

TEST(View, ANewRingIsEmptyAndOpenAndBeginsWhereItShould) {
    auto p = parameters();
    p.first_sequence = before_wrap;
    const TestRing ring(p);
    EXPECT_EQ(ring.tail(), before_wrap);
    EXPECT_EQ(ring.topic.ring.header().state.load_acquire(), 0U);
    EXPECT_EQ(ring.topic.ring.publisher_limit(), 0U);
    EXPECT_EQ(ring.topic.readers.reader_limit(), 0U);
    EXPECT_FALSE(ring.topic.event_bell().somebody_sleeps());
    EXPECT_FALSE(ring.topic.space_bell().somebody_sleeps());
}

struct Scribble {
    std::size_t offset;
    Errc code;
};
class Refused : public testing::TestWithParam<Scribble> {};
INSTANTIATE_TEST_SUITE_P(View, Refused,
                         testing::Values(Scribble{0, Errc::damaged}, Scribble{7, Errc::damaged},
                                         Scribble{8, Errc::incompatible},
                                         Scribble{9, Errc::incompatible},
                                         Scribble{16, Errc::damaged}, Scribble{23, Errc::damaged},
                                         Scribble{24, Errc::damaged}, Scribble{39, Errc::damaged}));

TEST_P(Refused, WithAnyByteOfItsIdentityChanged) {
    const TestRing ring(parameters());
    ring.ring_bytes()[GetParam().offset] ^= std::byte{0x40};
    ring.readers_bytes()[GetParam().offset] ^= std::byte{0x40};
    EXPECT_EQ(refusal_of_ring(ring), GetParam().code);
    EXPECT_EQ(refusal_of_readers(ring), GetParam().code);
}

TEST(View, RefusesARingWithOtherParametersThanAnnounced) {
    for (std::size_t i = 0; i < sizeof(layout::RingParameters); ++i) {
        const TestRing ring(parameters());
        ring.ring_bytes()[offsetof(layout::RingHeader, parameters) + i] ^= std::byte{1};
        EXPECT_EQ(refusal_of_ring(ring), Errc::damaged) << i;
    }
}

TEST(View, IgnoresAMinorVersionItDoesNotKnow) {
    const TestRing ring(parameters());
    ring.topic.ring.header().minor = 77;
    ring.topic.readers.header().minor = 77;
    EXPECT_FALSE(refusal_of_ring(ring));
    EXPECT_FALSE(refusal_of_readers(ring));
}

TEST(View, RefusesMemoryOfAnotherSizeAndParametersThatCannotBe) {
    const TestRing ring(parameters());
    const auto bytes = ring.ring_bytes();
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{8}, std::size_t{4095}, std::size_t{4096}, bytes.size() - 1}) {
        const auto check = [&] { ring::check_ring(bytes.first(size), parameters(), a_topic); };
        EXPECT_EQ(code_of(check), Errc::damaged) << size;
    }
    auto p = parameters();
    p.capacity = 3;
    EXPECT_EQ(code_of([&] { ring::check_ring(bytes, p, a_topic); }), Errc::damaged);
    EXPECT_EQ(code_of([&] { ring::check_readers(bytes, p, a_topic); }), Errc::damaged);
}

TEST(View, LimitsOfTheMemoryAreBoundedByTheParameters) {
    const TestRing ring(parameters());
    ring.topic.ring.header().publisher_limit.store_release(~0U);
    ring.topic.readers.header().reader_limit.store_release(~0U);
    EXPECT_EQ(ring.topic.ring.publisher_limit(), 8U);
    EXPECT_EQ(ring.topic.readers.reader_limit(), 64U);
}

TEST(View, SlotsFollowTheSequenceModuloTheCapacity) {
    const TestRing ring(parameters());
    const auto& view = ring.topic.ring;
    EXPECT_EQ(&view.slot(3), &view.slot(11));
    EXPECT_EQ(&view.slot(3), &view.slot(3 + (1ULL << 48U)));
    EXPECT_EQ(reinterpret_cast<std::byte*>(&view.slot(4)) -
                  reinterpret_cast<std::byte*>(&view.slot(3)),
              128);
}

TEST(View, ChunksOfAllClassesLieInsideAndApart) {
    auto p = parameters();
    p.max_event = 1 << 20U;
    p.pool_bytes = 8 << 20U;
    const TestRing ring(p);
    const auto& view = ring.topic.ring;
    const std::byte* end = ring.ring_bytes().data() + view.geometry().slots_end;
    for (std::uint32_t c = 0; c < view.chunk_count(); ++c) {
        const auto chunk = view.chunk(c);
        EXPECT_EQ(chunk.data(), end);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(chunk.data()) % layout::page, 0U);
        end = chunk.data() + chunk.size();
    }
    EXPECT_EQ(end, ring.ring_bytes().data() + ring.ring_bytes().size());
}

TEST(View, HoldCellsAndBitsOfAllReadersLieInsideAndApart) {
    auto p = parameters();
    p.max_readers = 128;
    const TestRing ring(p);
    const auto& readers = ring.topic.readers;
    EXPECT_EQ(readers.words_per_chunk(), 2U);
    EXPECT_EQ(static_cast<void*>(readers.cells(0)), static_cast<void*>(&readers.entry(127) + 1));
    EXPECT_EQ(static_cast<void*>(readers.bits(0)), readers.cells(127) + layout::hold_cells);
    EXPECT_EQ(readers.bits(1), readers.bits(0) + 2);
    EXPECT_LE(static_cast<void*>(readers.bits(3) + 2),
              static_cast<void*>(ring.readers_bytes().data() + ring.readers_bytes().size()));
}

/// Publishers and subscribers as they are: each may only read the other side's object.
TEST(View, SubscribersNeverWriteTheRingNorPublishersTheReaders) {
    const auto p = parameters();
    const auto ring_fd = base::make_memfd("ring", layout::geometry_of(p).total_bytes, 0);
    const auto readers_fd =
        base::make_memfd("readers", layout::readers_geometry_of(p).total_bytes, 0);
    const auto map = [](const base::Fd& fd, base::Access access) {
        return base::Mapping(fd, access, base::sealed_size(fd, "test"));
    };
    const auto ring_rw = map(ring_fd, base::Access::read_write);
    const auto ring_ro = map(base::read_only_twin(ring_fd), base::Access::read_only);
    const auto readers_rw = map(readers_fd, base::Access::read_write);
    const auto readers_ro = map(base::read_only_twin(readers_fd), base::Access::read_only);
    ring::format_ring(ring_rw.bytes(), p, a_topic);
    ring::format_readers(readers_rw.bytes(), p, a_topic);
    const ring::Topic daemon{{ring_rw.bytes(), p}, {readers_rw.bytes(), p}};
    ring::lease_publisher(daemon, 0, 1, 1);
    ring::lease_reader(daemon, 0, 1, 1);

    ring::SharedWriter writer({{ring_rw.bytes(), p}, {readers_ro.bytes(), p}}, 0);
    ring::Reader reader({{ring_ro.bytes(), p}, {readers_rw.bytes(), p}}, 0, 1, false, {});
    reader.join(Start::all());
    std::vector<std::byte> buffer(64);
    ring::Place place;
    place.buffer = buffer.data();
    for (int i = 0; i < 50; ++i) {
        layout::EventHeader header{};
        header.chunk = layout::no_chunk;
        if (i % 2 == 0) {
            ASSERT_EQ(writer.take_chunk(1, Deadline::now(), header.chunk),
                      PublishOutcome::published);
        }
        (void)reader.arm();
        const ring::Draft draft{header};
        ring::Run run;
        ASSERT_EQ(writer.publish({&draft, 1}, Deadline::now(), run), PublishOutcome::published);
        ASSERT_EQ(reader.look(place), Look::event);
        ASSERT_EQ(reader.release(place), Released::intact);
        if (i % 3 == 0) reader.acknowledge(run.last);
    }
    for (int i = 0; i < 20; ++i) { // waiting for room writes as well
        layout::EventHeader header{};
        header.chunk = layout::no_chunk;
        const ring::Draft draft{header};
        ring::Run run;
        (void)writer.publish({&draft, 1}, std::chrono::milliseconds(1), run);
    }
    reader.acknowledge(~Sequence{0});
}

} // namespace
} // namespace shmbus::test
