// Segments as wholes: which are taken for one, and finding a place in them with and without an index.
#include "segment_builder.hpp"
#include "shmbus/error.hpp"

#include <gmock/gmock.h>

namespace shmbus::spill {
namespace {

using test::SegmentBuilder;
using testing::HasSubstr;

/// The code of the Error that opening it throws, and what it says.
std::pair<Errc, std::string> refusal(std::span<const std::byte> bytes, Sequence first = 10) {
    try {
        const SegmentView view(bytes, test::segment_topic, first);
    } catch (const Error& e) {
        return {e.code(), e.what()};
    }
    return {};
}

void put_major(SegmentBuilder& segment, std::size_t at, std::uint16_t major) {
    std::memcpy(segment.bytes().data() + at + 8, &major, sizeof major);
}

TEST(SegmentView, KnowsItsHeader) {
    EXPECT_EQ(SegmentBuilder(10, 77).view().header().max_time_before, 77U);
}

TEST(SegmentView, OneOfTheHeadersCopiesIsEnough) {
    for (std::size_t at = 0; at < layout::segment_header_bytes; ++at)
        for (unsigned bit = 0; bit < 8; ++bit) {
            SegmentBuilder segment;
            segment.event("a").flip(at, bit);
            ASSERT_EQ(segment.view().header().first, 10U) << at;
        }
}

TEST(SegmentView, RefusesWhatIsNoSegment) {
    SegmentBuilder segment;
    segment.event("a").flip(20);
    segment.flip(layout::segment_twin_offset + 20);
    EXPECT_EQ(refusal(segment.bytes()).first, Errc::damaged);
    EXPECT_THAT(refusal(segment.bytes()).second,
                HasSubstr("00000000000000000010.seg is no segment"));
    const std::vector<std::byte> nothing;
    EXPECT_EQ(refusal(nothing).first, Errc::damaged);
    EXPECT_EQ(refusal(std::vector<std::byte>(8192)).first, Errc::damaged);
    SegmentBuilder whole;
    for (std::size_t size = 0; size < layout::segment_header_bytes; size += 8)
        EXPECT_EQ(refusal(std::span(whole.bytes()).first(size)).first, Errc::damaged);
}

TEST(SegmentView, RefusesWhatBelongsElsewhere) {
    SegmentBuilder segment;
    EXPECT_EQ(refusal(segment.bytes(), 11).first, Errc::damaged);
    EXPECT_THROW(SegmentView(segment.bytes(), layout::Uuid{9}, 10), Error);
}

TEST(SegmentView, RefusesANewerVersionAsSuch) {
    SegmentBuilder segment;
    put_major(segment, 0, 2);
    EXPECT_EQ(refusal(segment.bytes()), std::pair(Errc{}, std::string())) << "a flipped bit";
    put_major(segment, layout::segment_twin_offset, 2);
    EXPECT_EQ(refusal(segment.bytes()).first, Errc::incompatible);
    EXPECT_THAT(refusal(segment.bytes()).second, HasSubstr("layout version 2"));
}

/// Events with times that go up and down, an index entry for every `stride`-th.
SegmentBuilder many(unsigned count, unsigned stride) {
    SegmentBuilder segment(1000, 50);
    for (unsigned i = 0; i < count; ++i) {
        const auto max_before = segment.max_time();
        const Sequence s = segment.next();
        if (i % 17 == 5)
            segment.tombstone(s + 2, GapReason::aborted);
        else
            segment.event("payload", 100 + i * 10 - (i * 7919 % 100));
        if (stride != 0 && i % stride == 0)
            segment.index.push_back({s, segment.offset(s), max_before});
        if (i % 10 == 0) segment.sync_point(s);
    }
    return segment.footer();
}

std::vector<SegmentBuilder> with_and_without_index() {
    std::vector<SegmentBuilder> all{many(300, 0), many(300, 16)};
    all.push_back(many(300, 16));
    for (auto& entry : all.back().index) entry.offset += 8; // leads nowhere
    all.back().footer();
    all.push_back(many(300, 16));
    all.back().flip(all.back().bytes().size() - 40);
    return all;
}

TEST(SegmentView, FindsEverySequence) {
    for (const auto& segment : with_and_without_index()) {
        for (Sequence s = 1; s < segment.next() + 10; ++s) {
            FrameCursor found = segment.view().seek(s);
            const Found what = found.next();
            if (s >= segment.next()) {
                ASSERT_TRUE(what == Found::end || what == Found::footer || what == Found::damaged);
                continue;
            }
            while (found.expected() <= s) ASSERT_EQ(found.next(), Found::sync_point);
            const Sequence begins = what == Found::event ? found.sequence() : found.gap().first;
            ASSERT_LE(begins, std::max<Sequence>(s, 1000)) << s;
        }
    }
}

TEST(SegmentView, FindsEveryTime) {
    for (const auto& segment : with_and_without_index()) {
        for (std::uint64_t time = 0; time < segment.max_time() + 5; ++time) {
            Sequence expected = 0;
            FrameCursor all = segment.view().begin();
            for (Found f = all.next(); f != Found::end && expected == 0; f = all.next())
                if (f == Found::event && all.event().time_ns >= time) expected = all.sequence();
            FrameCursor found = segment.view().seek_time(time);
            const Sequence begins = found.expected();
            Found what = found.next();
            while (what == Found::tombstone || what == Found::sync_point) what = found.next();
            if (expected == 0)
                ASSERT_NE(what, Found::event) << time;
            else
                ASSERT_EQ(found.sequence(), expected) << time;
            if (time == 0) {
                ASSERT_EQ(begins, segment.view().begin().expected());
            }
        }
    }
}

TEST(SegmentAtTime, IsTheLastThatBeginsBefore) {
    const std::vector<std::uint64_t> before{0, 10, 10, 20, 30};
    const auto at = [&](std::size_t count, std::uint64_t time) {
        return segment_at_time(
            count, [&](std::size_t i) { return before[i]; }, time);
    };
    EXPECT_EQ(at(5, 0), 0U);
    EXPECT_EQ(at(5, 10), 0U);
    EXPECT_EQ(at(5, 11), 2U);
    EXPECT_EQ(at(5, 20), 2U);
    EXPECT_EQ(at(5, 21), 3U);
    EXPECT_EQ(at(5, 1'000), 4U);
    EXPECT_EQ(at(1, 1'000), 0U);
    EXPECT_EQ(at(0, 5), 0U);
}

TEST(SegmentView, SeeksPastDamage) {
    auto segment = many(300, 16);
    segment.flip(segment.offset(1100));
    FrameCursor found = segment.view().seek(1200);
    while (found.expected() <= 1200) (void)found.next();
    EXPECT_EQ(found.sequence(), 1200U);
    FrameCursor at_damage = segment.view().seek(1100);
    ASSERT_EQ(at_damage.next(), Found::damaged);
    EXPECT_EQ(at_damage.gap().first, 1100U);
}

TEST(SegmentView, HasAFooterOnlyAtItsEnd) {
    auto segment = many(20, 4);
    ASSERT_TRUE(segment.view().footer());
    EXPECT_EQ(segment.view().footer()->last, segment.next() - 1);
    EXPECT_EQ(segment.view().footer()->max_time, segment.max_time());
    segment.zeros(8);
    EXPECT_FALSE(segment.view().footer());
    EXPECT_FALSE(SegmentBuilder().event("a").view().footer());
    EXPECT_FALSE(SegmentBuilder().view().footer());
}

} // namespace
} // namespace shmbus::spill
