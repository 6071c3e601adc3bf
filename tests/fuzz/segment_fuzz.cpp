// Bytes that claim to be a segment: what is served lies inside, each sequence at most once and in order, and
// every walk ends. Frames whose checksums are right but which lie are among them.
#include "input.hpp"
#include "layout/frame_writer.hpp"
#include "shmbus/error.hpp"
#include "spill/segment_view.hpp"

#include <vector>

using namespace shmbus;
using test::expect;

namespace {

constexpr layout::Uuid topic{1};
constexpr Sequence first = 100;

class Segment {
  public:
    explicit Segment(test::Input& input) {
        header_.topic = topic;
        header_.first = first;
        header_.durable_through = input.take<std::uint8_t>();
        const auto page = layout::segment_header_page(header_);
        bytes.assign(page.begin(), page.end());
    }
    /// A frame as a log writes it, or nearly; then anything.
    void add(test::Input& input) {
        const auto what = input.take<std::uint8_t>();
        const auto at = bytes.size();
        const std::vector<std::byte> content(input.take<std::uint8_t>(), std::byte{0x5a});
        const layout::FrameWriter writer(header_);
        if (what % 5 == 0) {
            layout::EventFrame event;
            event.sequence = next_;
            event.header.time_ns = input.take<std::uint16_t>();
            event.payload = content;
            bytes.resize(at + event.bytes());
            writer.event(bytes.data() + at, at, event);
            next_ += 1;
        } else if (what % 5 == 1) {
            const Sequence last = next_ + input.take<std::uint8_t>() - 2;
            bytes.resize(at + layout::tombstone_frame_bytes);
            writer.tombstone(bytes.data() + at, at, next_, {last, what, {}});
            next_ = last + 1;
        } else if (what % 5 == 2) {
            bytes.resize(at + layout::sync_point_frame_bytes);
            writer.sync_point(bytes.data() + at, at, next_,
                              {0, next_ + input.take<std::uint8_t>() - 20, 0});
        } else if (what % 5 == 3) {
            const layout::IndexEntry entry{input.take<std::uint8_t>(), input.take<std::uint16_t>(),
                                           input.take<std::uint16_t>()};
            bytes.resize(at + layout::footer_frame_bytes(1));
            writer.footer(bytes.data() + at, at, next_, {}, std::span(&entry, 1));
        } else {
            lie(input);
        }
    }
    std::vector<std::byte> bytes;

  private:
    /// Whatever the input says, under a checksum that is right.
    void lie(test::Input& input) {
        const auto at = bytes.size();
        std::array<std::byte, layout::max_head_bytes> block{};
        auto head = input.take<layout::FrameHead>();
        head.head_bytes = static_cast<std::uint16_t>(32 + head.head_bytes % 29 * 8);
        head.length &= 0xffff'ffff'0007'fff8U;
        head.sequence = next_ + head.sequence % 4;
        head.kind = static_cast<layout::FrameKind>(static_cast<unsigned>(head.kind) % 6);
        head.reserved = 0;
        auto fixed = input.take<std::array<std::byte, 56>>();
        std::memcpy(block.data(), &head, sizeof head);
        std::memcpy(block.data() + sizeof head, fixed.data(), fixed.size());
        head.head_checksum =
            layout::SegmentSeed(header_).head_checksum(std::span(block).first(head.head_bytes), at);
        std::memcpy(block.data(), &head, sizeof head);
        bytes.insert(bytes.end(), block.begin(), block.begin() + head.head_bytes);
    }
    layout::SegmentHeader header_{};
    Sequence next_ = first;
};

bool inside(Bytes part, std::span<const std::byte> all) {
    return part.empty() ||
           (part.data() >= all.data() && part.data() + part.size() <= all.data() + all.size());
}

void walk(spill::FrameCursor cursor, std::span<const std::byte> bytes) {
    Sequence expected = cursor.expected();
    std::uint64_t seen = 0;
    for (std::size_t steps = 0;; ++steps) {
        expect(steps <= 2 * bytes.size());
        const auto found = cursor.next();
        if (found == spill::Found::end) break;
        expect(cursor.expected() >= expected);
        if (found == spill::Found::event) {
            expect(cursor.sequence() == expected && cursor.expected() == expected + 1);
            expect(inside(cursor.payload(), bytes) && inside(cursor.extension(), bytes));
            if (cursor.verify()) expect(cursor.payload().size() == cursor.event().length);
            for (const auto byte : cursor.payload()) seen += static_cast<std::uint8_t>(byte);
        } else if (found == spill::Found::tombstone || found == spill::Found::damaged) {
            expect(cursor.gap().first == expected && cursor.gap().last + 1 == cursor.expected());
        } else {
            expect(cursor.expected() == expected);
            if (found == spill::Found::footer) expect(inside(cursor.footer_index(), bytes));
        }
        expected = cursor.expected();
    }
    expect(cursor.next() == spill::Found::end);
    expect(seen <= 255 * bytes.size());
}

void use(std::span<const std::byte> bytes, test::Input& input) {
    spill::Extent extent;
    if (input.take<std::uint8_t>() % 2 != 0) extent.end = first + input.take<std::uint8_t>();
    extent.durable_through = first + input.take<std::uint8_t>() - 100;
    const spill::SegmentView view(bytes, topic, first, extent);
    (void)view.footer();
    walk(view.begin(), bytes);
    walk(view.seek(first + input.take<std::uint8_t>()), bytes);
    walk(view.seek_time(input.take<std::uint16_t>()), bytes);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::Input input(data, size);
    const auto kind = input.take<std::uint8_t>();
    Segment segment(input);
    for (int i = 0; i < kind % 16 && !input.empty(); ++i) segment.add(input);
    for (int i = 0; i < kind / 64 && !input.empty(); ++i) {
        const auto at = input.take<std::uint16_t>() % segment.bytes.size();
        segment.bytes[at] ^= static_cast<std::byte>(input.take<std::uint8_t>());
    }
    if (kind & 32U) segment.bytes.resize(segment.bytes.size() + 5'000);
    if (kind & 16U)
        for (const auto byte : input.rest()) segment.bytes.push_back(static_cast<std::byte>(byte));
    try {
        use(segment.bytes, input);
    } catch (const Error&) {
        return 0;
    }
    return 0;
}
