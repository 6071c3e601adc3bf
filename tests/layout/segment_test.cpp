// Segments: names, checksums that belong to one place alone, and bytes that never change.
#include "layout/segment.hpp"

#include "base/hash.hpp"
#include "layout/frame_writer.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <vector>

namespace shmbus::layout {
namespace {

using Block = std::vector<std::byte>;

SegmentHeader header() {
    SegmentHeader h{};
    h.topic = {1, 2, 3};
    h.first = 42;
    h.salt = 0x0123'4567'89ab'cdef;
    h.capacity = 262'144;
    return h;
}

Block frame_of_event(const SegmentHeader& h, std::uint64_t offset, const EventFrame& event) {
    Block block(event.bytes(), std::byte{0xee});
    FrameWriter(h).event(block.data(), offset, event);
    return block;
}

FrameHead head_of(const Block& block) {
    FrameHead head;
    std::memcpy(&head, block.data(), sizeof head);
    return head;
}

EventFrame an_event() {
    static const std::string payload = "payload!!";
    static const std::string extension = "ext";
    EventFrame event;
    event.sequence = 43;
    event.header.time_ns = 7;
    event.extension = std::as_bytes(std::span(extension));
    event.payload = std::as_bytes(std::span(payload));
    return event;
}

TEST(SegmentName, IsTheFirstSequence) {
    EXPECT_EQ(segment_name(1), "00000000000000000001.seg");
    EXPECT_EQ(segment_name(max_sequence), "09223372036854775807.seg");
    for (const std::uint64_t first : {std::uint64_t{1}, std::uint64_t{4711}, max_sequence})
        EXPECT_EQ(segment_first(segment_name(first)), first);
}

TEST(SegmentName, IsExact) {
    for (const auto* name :
         {"", "1.seg", "00000000000000000000.seg", "09223372036854775808.seg",
          "99999999999999999999.seg", "00000000000000000001.se", "00000000000000000001.segx",
          "000000000000000000001.seg", "-0000000000000000001.seg", " 0000000000000000001.seg",
          "0000000000000000000x.seg", "00000000000000000001.SEG", "spare"})
        EXPECT_FALSE(segment_first(name)) << name;
}

TEST(SegmentHeader, LiesTwiceInItsPage) {
    const auto bytes = segment_header_page(header());
    EXPECT_EQ(std::memcmp(bytes.data(), "shmsegm1", 8), 0);
    EXPECT_EQ(std::memcmp(bytes.data(), bytes.data() + segment_twin_offset, sizeof(SegmentHeader)),
              0);
    SegmentHeader read;
    std::memcpy(&read, bytes.data(), sizeof read);
    EXPECT_EQ(read.major, segment_major);
    EXPECT_EQ(read.first, 42U);
    EXPECT_EQ(read.checksum, checksum_of(read));
}

TEST(Frame, IsLaidOutAsTheRulerSays) {
    const auto block = frame_of_event(header(), 4096, an_event());
    ASSERT_EQ(block.size(), 88U + 8U + 16U);
    const auto head = head_of(block);
    EXPECT_EQ(head.kind, FrameKind::event);
    EXPECT_EQ(head.length, block.size());
    EXPECT_EQ(head.head_bytes, 88U);
    EXPECT_EQ(head.sequence, 43U);
    EventHeader event;
    std::memcpy(&event, block.data() + sizeof head, sizeof event);
    EXPECT_EQ(event.chunk, no_chunk);
    EXPECT_EQ(event.extension, 3U);
    EXPECT_EQ(event.length, 9U);
    EXPECT_EQ(std::memcmp(block.data() + 88, "ext\0\0\0\0\0payload!!\0\0\0\0\0\0\0", 24), 0);
}

TEST(Frame, CanBePreparedBeforeItIsKnownWhereItGoes) {
    Block block(an_event().bytes(), std::byte{0xee});
    prepare(block.data(), an_event());
    FrameWriter(header()).seal(block.data(), 4096);
    EXPECT_EQ(block, frame_of_event(header(), 4096, an_event()));
}

TEST(Frame, IsPreparedAroundABodyThatIsThere) {
    auto event = an_event();
    Block block(event.bytes(), std::byte{0xee});
    std::byte* const body = block.data() + event_head_bytes;
    std::memcpy(body, event.extension.data(), event.extension.size());
    std::memcpy(body + 8, event.payload.data(), event.payload.size());
    event.extension = {body, event.extension.size()};
    event.payload = {body + 8, event.payload.size()};
    FrameWriter(header()).event(block.data(), 4096, event);
    EXPECT_EQ(block, frame_of_event(header(), 4096, an_event()));
}

TEST(Checksums, BelongToOnePlaceAlone) {
    const auto event = an_event();
    const auto here = head_of(frame_of_event(header(), 4096, event));
    auto other_topic = header(), other_segment = header(), other_salt = header();
    other_topic.topic[15] ^= 1U;
    other_segment.first ^= 1U;
    other_salt.salt ^= 1U;
    for (const auto& other : {other_topic, other_segment, other_salt}) {
        const auto there = head_of(frame_of_event(other, 4096, event));
        EXPECT_NE(there.head_checksum, here.head_checksum);
        EXPECT_NE(there.body_checksum, here.body_checksum);
    }
    EXPECT_NE(head_of(frame_of_event(header(), 4104, event)).head_checksum, here.head_checksum);
    auto later = event;
    later.sequence += 1;
    const auto there = head_of(frame_of_event(header(), 4096, later));
    EXPECT_NE(there.head_checksum, here.head_checksum);
    EXPECT_NE(there.body_checksum, here.body_checksum);
}

TEST(Checksums, KnowWhereTheExtensionEnds) {
    const SegmentSeed seed(header());
    const std::string text = "abcdef";
    const auto bytes = std::as_bytes(std::span(text));
    EXPECT_NE(seed.body_checksum(bytes.first(2), bytes.subspan(2), 1),
              seed.body_checksum(bytes.first(3), bytes.subspan(3), 1));
}

// Files of this version are read for ever.
TEST(Segment, NeverChanges) {
    Block image(4096 + 8192, std::byte{0});
    const auto page_bytes = segment_header_page(header());
    std::memcpy(image.data(), page_bytes.data(), page_bytes.size());
    const FrameWriter writer(header());
    std::uint64_t at = 4096;
    writer.event(image.data() + at, at, an_event());
    at += an_event().bytes();
    writer.tombstone(image.data() + at, at, 44, {50, 4, {}});
    at += tombstone_frame_bytes;
    writer.sync_point(image.data() + at, at, 51, {1, 50, 60});
    at += sync_point_frame_bytes;
    const std::array index{IndexEntry{42, 4096, 0}};
    writer.footer(image.data() + at, at, 51, {50, 1, 7, 7, 7, 50, 0, 0}, index);
    at += footer_frame_bytes(index.size());
    image.resize(at);
    EXPECT_EQ(base::checksum(image), 484736359866819147U);
}

} // namespace
} // namespace shmbus::layout
