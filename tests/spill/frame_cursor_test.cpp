// Going through a segment, whole and damaged: nothing wrong is served, and what is lost is told exactly.
#include "segment_builder.hpp"

#include <gtest/gtest.h>
#include <set>

namespace shmbus::spill {
namespace {

using test::SegmentBuilder;
using test::text_of;

/// Events 10 to 12, a tombstone, a sync point, events 16 and 17.
SegmentBuilder sample() {
    SegmentBuilder segment;
    segment.event("ten", 100, "ext").event("eleven", 90).event("", 120);
    segment.tombstone(15, GapReason::aborted).sync_point(12).event("sixteen").event("seventeen");
    return segment;
}

TEST(FrameCursor, ReadsWhatWasWritten) {
    auto segment = sample();
    FrameCursor cursor = segment.view().begin();
    ASSERT_EQ(cursor.next(), Found::event);
    EXPECT_EQ(cursor.sequence(), 10U);
    EXPECT_EQ(cursor.offset(), layout::segment_header_bytes);
    EXPECT_EQ(cursor.event().time_ns, 100U);
    EXPECT_EQ(as_text(cursor.extension()), "ext");
    EXPECT_EQ(as_text(cursor.payload()), "ten");
    EXPECT_TRUE(cursor.verify());
    ASSERT_EQ(cursor.next(), Found::event);
    ASSERT_EQ(cursor.next(), Found::event);
    EXPECT_EQ(cursor.max_time(), 120U);
    EXPECT_TRUE(cursor.payload().empty());
    EXPECT_TRUE(cursor.verify());
    ASSERT_EQ(cursor.next(), Found::tombstone);
    EXPECT_EQ(cursor.gap(), (Gap{13, 15, GapReason::aborted}));
    ASSERT_EQ(cursor.next(), Found::sync_point);
    EXPECT_EQ(cursor.sync_point().durable_through, 12U);
    EXPECT_EQ(cursor.durable_through(), 12U);
    EXPECT_EQ(cursor.expected(), 16U);
}

TEST(FrameCursor, StopsAtTheEndOfTheFileAtZerosAndBehindTheFooter) {
    EXPECT_EQ(text_of(sample().view().begin()), "e10 e11 e12 t13-15:aborted s e16 e17");
    EXPECT_EQ(text_of(sample().zeros(100'000).view().begin()),
              "e10 e11 e12 t13-15:aborted s e16 e17");
    EXPECT_EQ(text_of(sample().footer().view().begin()), "e10 e11 e12 t13-15:aborted s e16 e17 f");
    EXPECT_EQ(text_of(SegmentBuilder().view().begin()), "");
    EXPECT_EQ(text_of(SegmentBuilder().zeros(20).view().begin()), "");
}

TEST(FrameCursor, LooksAtNothingBeyondItsExtent) {
    EXPECT_EQ(text_of(sample().view({.end = 12}).begin()), "e10 e11");
    EXPECT_EQ(text_of(sample().view({.end = 14}).begin()), "e10 e11 e12 t13-13:aborted");
    EXPECT_EQ(text_of(sample().view({.end = 18}).begin()), "e10 e11 e12 t13-15:aborted s e16 e17");
    EXPECT_EQ(text_of(sample().view({.end = 10}).begin()), "");
}

TEST(FrameCursor, ADamagedPayloadCostsItsEventAlone) {
    auto segment = sample();
    segment.flip(segment.offset(11) + layout::event_head_bytes);
    EXPECT_EQ(text_of(segment.view().begin()), "e10 bad11 e12 t13-15:aborted s e16 e17");
    segment.flip(segment.offset(10) + layout::event_head_bytes); // its extension block
    EXPECT_EQ(text_of(segment.view().begin()), "bad10 bad11 e12 t13-15:aborted s e16 e17");
}

TEST(FrameCursor, ADamagedHeadCostsItsEventAlone) {
    auto segment = sample();
    segment.flip(segment.offset(11) + 24); // the length
    EXPECT_EQ(text_of(segment.view().begin()), "e10 d11-11:corrupt e12 t13-15:aborted s e16 e17");
    segment.flip(segment.offset(12));
    EXPECT_EQ(text_of(segment.view().begin()), "e10 d11-12:corrupt t13-15:aborted s e16 e17");
    segment.flip(segment.offset(13));
    EXPECT_EQ(text_of(segment.view().begin()), "e10 d11-15:corrupt s e16 e17");
}

TEST(FrameCursor, ADamagedSyncPointCostsNothing) {
    auto segment = sample();
    segment.flip(segment.offset(13) + layout::tombstone_frame_bytes);
    EXPECT_EQ(text_of(segment.view().begin()), "e10 e11 e12 t13-15:aborted d16-15:lost e16 e17");
}

TEST(FrameCursor, WhatWasNeverOnDiskForSureIsLostNotCorrupt) {
    auto segment = sample();
    segment.flip(segment.offset(16));
    EXPECT_EQ(text_of(segment.view().begin()), "e10 e11 e12 t13-15:aborted s d16-16:lost e17");
    EXPECT_EQ(text_of(segment.view({.durable_through = 16}).begin()),
              "e10 e11 e12 t13-15:aborted s d16-16:corrupt e17");
    auto synced = sample();
    synced.sync_point(17);
    synced.flip(synced.offset(16));
    EXPECT_EQ(text_of(synced.view().begin()), "e10 e11 e12 t13-15:aborted s d16-16:corrupt e17 s");
}

TEST(FrameCursor, GoesOnBehindZerosWhereThereShouldBeMore) {
    auto segment = sample();
    segment.wipe(segment.offset(11), segment.offset(13));
    EXPECT_EQ(text_of(segment.view().begin()), "e10 d11-12:corrupt t13-15:aborted s e16 e17");
    EXPECT_EQ(text_of(segment.view({.end = 18}).begin()),
              "e10 d11-12:corrupt t13-15:aborted s e16 e17");
    SegmentBuilder pages;
    pages.event("a").event(std::string(20'000, 'x')).event("b");
    pages.wipe(pages.offset(11), pages.offset(12));
    EXPECT_EQ(text_of(pages.view().begin()), "e10 d11-11:lost e12");
}

TEST(FrameCursor, WhatIsMissingAtTheEndIsAccountedForToo) {
    auto segment = sample();
    segment.bytes().resize(segment.offset(16));
    EXPECT_EQ(text_of(segment.view().begin()), "e10 e11 e12 t13-15:aborted s");
    EXPECT_EQ(text_of(segment.view({.end = 18}).begin()),
              "e10 e11 e12 t13-15:aborted s d16-17:lost");
    EXPECT_EQ(text_of(segment.view({.durable_through = 16}).begin()),
              "e10 e11 e12 t13-15:aborted s d16-16:corrupt");
    EXPECT_EQ(text_of(segment.view({.end = 18, .durable_through = 20}).begin()),
              "e10 e11 e12 t13-15:aborted s d16-17:corrupt");
}

TEST(FrameCursor, ATornTailLosesNothingThatWasPromised) {
    auto segment = sample();
    segment.bytes().resize(segment.offset(17) + 40);
    segment.zeros(5000);
    EXPECT_EQ(text_of(segment.view().begin()), "e10 e11 e12 t13-15:aborted s e16 d17-16:lost");
    auto body = sample();
    body.bytes().resize(body.offset(17) + layout::event_head_bytes + 3);
    EXPECT_EQ(text_of(body.view().begin()), "e10 e11 e12 t13-15:aborted s e16 bad17");
}

// Whatever bit of a segment is flipped: at most one event is lost, and that is what is said.
TEST(FrameCursor, OneFlippedBitCostsOneEvent) {
    const std::set<std::string> fine{"e10", "e11", "e12", "t13-15:aborted", "s", "e16", "e17", "f"};
    auto segment = sample().footer();
    segment.zeros(64);
    for (std::size_t at = layout::segment_header_bytes; at < segment.bytes().size(); ++at)
        for (unsigned bit = 0; bit < 8; ++bit) {
            segment.flip(at, bit);
            std::string text = text_of(segment.view({.durable_through = 17}).begin());
            std::set<std::string> words;
            for (std::size_t from = 0; from < text.size();) {
                const auto to = std::min(text.find(' ', from), text.size());
                words.insert(text.substr(from, to - from));
                from = to + 1;
            }
            std::size_t missing = 0;
            for (const auto& word : fine) missing += words.count(word) == 0 ? 1U : 0U;
            ASSERT_LE(missing, 1U) << at << ": " << text;
            ASSERT_LE(words.size(), fine.size() + 1) << at << ": " << text;
            segment.flip(at, bit);
        }
}

// Cut anywhere: all before the cut is there, and nothing else.
TEST(FrameCursor, EveryPrefixIsRead) {
    const auto whole = sample();
    for (auto size = whole.offset(11); size <= sample().bytes().size(); ++size) {
        auto cut = sample();
        cut.bytes().resize(size);
        FrameCursor cursor = cut.view().begin();
        Sequence last = 0;
        for (Found found = cursor.next(); found != Found::end; found = cursor.next())
            if (found == Found::event && cursor.verify()) last = cursor.sequence();
        const Sequence there = size >= sample().bytes().size() ? 17
                               : size >= whole.offset(17)      ? 16
                               : size >= whole.offset(13)      ? 12
                               : size >= whole.offset(12)      ? 11
                                                               : 10;
        // An event whose padding is cut off ends too early: no harm in either answer.
        ASSERT_LE(last, there) << size;
        ASSERT_GE(last + 1, there == 16 ? 13 : there) << size;
    }
}

TEST(FrameCursor, TakesNoFrameOfAnotherSegment) {
    SegmentBuilder other(10, 0, 4712);
    other.event("ten", 100, "ext").event("eleven", 90).event("", 120);
    auto segment = sample();
    const auto from = segment.offset(11);
    std::memcpy(segment.bytes().data() + from, other.bytes().data() + from,
                segment.offset(12) - from);
    EXPECT_EQ(text_of(segment.view().begin()), "e10 d11-11:corrupt e12 t13-15:aborted s e16 e17");
}

// A payload may be anything: a copy of the very file it goes into, too.
TEST(FrameCursor, TakesNoFrameInsideAPayload) {
    auto segment = sample();
    const std::string copy(reinterpret_cast<const char*>(segment.bytes().data()),
                           segment.bytes().size());
    segment.event(copy).event("nineteen");
    segment.flip(segment.offset(18));
    EXPECT_EQ(text_of(segment.view().begin()),
              "e10 e11 e12 t13-15:aborted s e16 e17 d18-18:lost e19");
}

TEST(FrameCursor, TakesNoSequenceTwice) {
    SegmentBuilder segment;
    segment.event("a").event("b");
    const layout::FrameWriter writer(segment.header());
    layout::EventFrame again;
    again.sequence = 11;
    const auto at = segment.bytes().size();
    segment.bytes().resize(at + again.bytes());
    writer.event(segment.bytes().data() + at, at, again);
    EXPECT_EQ(text_of(segment.view().begin()), "e10 e11 d12-11:lost");
}

TEST(FrameCursor, StepsOverKindsItDoesNotKnow) {
    auto segment = sample();
    std::byte* frame = segment.bytes().data() + segment.offset(13);
    layout::FrameHead head;
    std::memcpy(&head, frame, sizeof head);
    head.kind = static_cast<layout::FrameKind>(9);
    std::memcpy(frame, &head, sizeof head);
    head.head_checksum = layout::SegmentSeed(segment.header())
                             .head_checksum({frame, head.head_bytes}, segment.offset(13));
    std::memcpy(frame, &head, sizeof head);
    EXPECT_EQ(text_of(segment.view().begin()), "e10 e11 e12 d13-15:lost s e16 e17")
        << "what it cannot read there is missing, no more";
}

} // namespace
} // namespace shmbus::spill
