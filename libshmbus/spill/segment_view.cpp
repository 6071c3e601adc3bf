#include "spill/segment_view.hpp"

#include "shmbus/error.hpp"

#include <cstring>

namespace shmbus::spill {

using layout::IndexEntry;
using layout::SegmentHeader;

namespace {

/// One of the two copies; nothing if there is none.
std::optional<SegmentHeader> header_at(std::span<const std::byte> file,
                                       std::size_t offset) noexcept {
    if (file.size() < layout::segment_header_bytes) return {};
    SegmentHeader header;
    std::memcpy(&header, file.data() + offset, sizeof header);
    if (header.magic != layout::segment_magic) return {};
    return header;
}

Error unusable(Errc code, Sequence first, const std::string& why) {
    return {code, "segment " + layout::segment_name(first) + ' ' + why};
}

Error misplaced(Sequence first) {
    return unusable(Errc::damaged, first, "belongs to another topic or place; move it away");
}

} // namespace

SegmentHeader checked_header(std::span<const std::byte> file, Sequence first) {
    const std::array copies{header_at(file, 0), header_at(file, layout::segment_twin_offset)};
    std::optional<SegmentHeader> good;
    std::uint16_t newest = 0;
    for (const auto& copy : copies) {
        if (!copy) continue;
        newest = std::max(newest, copy->major);
        if (!good && copy->major == layout::segment_major &&
            copy->checksum == layout::checksum_of(*copy))
            good = copy;
    }
    if (!good && newest > layout::segment_major)
        throw unusable(Errc::incompatible, first,
                       "has layout version " + std::to_string(newest) + ", this program knows " +
                           std::to_string(layout::segment_major) + "; use a newer shmbus");
    if (!good || good->header_bytes != layout::segment_header_bytes)
        throw unusable(Errc::damaged, first,
                       "is no segment, or its header is damaged; move it away");
    if (good->first != first) throw misplaced(first);
    return *good;
}

SegmentHeader checked_header(std::span<const std::byte> file, const layout::Uuid& topic,
                             Sequence first) {
    const auto header = checked_header(file, first);
    if (header.topic != topic) throw misplaced(first);
    return header;
}

std::optional<layout::FooterSummary> footer_in(std::span<const std::byte> tail,
                                               std::uint64_t file_bytes,
                                               const SegmentHeader& header) noexcept {
    Frame frame;
    if (file_bytes < header.header_bytes + std::uint64_t{layout::footer_head_bytes} ||
        !parse_footer(tail, file_bytes, layout::SegmentSeed(header), header.first, frame))
        return {};
    return frame.fixed.footer;
}

/// At the last frame of the index for which `is_before`; at the first one without any.
template <class IsBefore> FrameCursor SegmentView::near(IsBefore is_before) const noexcept {
    FrameCursor cursor = begin();
    FrameCursor at_footer = cursor;
    if (!at_footer.jump_to_footer()) return cursor;
    const Bytes index = at_footer.footer_index();
    const auto entry_at = [&](std::size_t i) {
        IndexEntry entry;
        std::memcpy(&entry, index.data() + i * sizeof entry, sizeof entry);
        return entry;
    };
    std::size_t low = 0; // entries known to be before
    std::size_t high = index.size() / sizeof(IndexEntry);
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (is_before(entry_at(middle)))
            low = middle + 1;
        else
            high = middle;
    }
    // An index that leads nowhere costs the time of a search, and nothing else.
    if (low > 0) (void)cursor.jump(entry_at(low - 1));
    return cursor;
}

FrameCursor SegmentView::seek(Sequence s) const noexcept {
    FrameCursor cursor = near([&](const IndexEntry& entry) { return entry.sequence <= s; });
    for (;;) {
        FrameCursor ahead = cursor;
        if (ahead.next() == Found::end || ahead.expected() > s) return cursor;
        cursor = ahead;
    }
}

FrameCursor SegmentView::seek_time(std::uint64_t time_ns) const noexcept {
    FrameCursor older =
        near([&](const IndexEntry& entry) { return entry.max_time_before < time_ns; });
    for (FrameCursor ahead = older;;) {
        const Found found = ahead.next();
        if (found == Found::end || (found == Found::event && ahead.event().time_ns >= time_ns))
            return older;
        if (found == Found::event) older = ahead;
    }
}

} // namespace shmbus::spill
