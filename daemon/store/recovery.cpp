#include "daemon/store/recovery.hpp"

namespace shmbus::store {

namespace {

// A footer of the largest ordinary segment, with some to spare.
constexpr std::size_t tail_read = std::size_t{32} << 10U;

/// Nobody knows yet whether the frames at the end are on disk: looks at all of them.
Remains walk(std::span<const std::byte> bytes, const layout::SegmentHeader& header,
             Sequence durable_through) {
    spill::FrameCursor cursor(bytes, header, {.durable_through = durable_through});
    Remains remains;
    remains.lease_through = header.lease_through;
    remains.max_time = header.max_time_before;
    remains.used = layout::segment_header_bytes;
    Sequence last_good = header.first - 1; // what is torn at the end was never there
    for (auto found = cursor.next(); found != spill::Found::end; found = cursor.next()) {
        if (found == spill::Found::sync_point)
            remains.lease_through =
                std::max(remains.lease_through, cursor.sync_point().lease_through);
        if (found == spill::Found::tombstone || (found == spill::Found::event && cursor.verify())) {
            last_good = cursor.expected() - 1;
            remains.max_time = cursor.max_time();
        }
        if (found != spill::Found::damaged) remains.used = cursor.position();
    }
    remains.durable_through = cursor.durable_through();
    remains.next = std::max(last_good, remains.durable_through) + 1;
    const Sequence settled = std::max(remains.durable_through, header.first - 1);
    if (remains.next - 1 > settled) {
        std::uint64_t copied = 0;
        spill::FrameCursor again(bytes, header, {.durable_through = remains.durable_through});
        for_each_of(
            again, settled + 1, remains.next,
            [&](const spill::FrameCursor& event) {
                copied +=
                    layout::event_frame_bytes(event.extension().size(), event.payload().size());
            },
            [&](const Gap&) { copied += layout::tombstone_frame_bytes; });
        remains.tail = {settled + 1, copied};
    }
    return remains;
}

} // namespace

Inventory take_inventory(const Directory& directory) {
    Inventory inventory;
    for (const auto& name : directory.list()) {
        if (const auto first = layout::segment_first(name)) inventory.segments.push_back(*first);
        if (name == spare_name) inventory.has_spare = true;
    }
    std::sort(inventory.segments.begin(), inventory.segments.end());
    return inventory;
}

std::vector<std::byte> read_all(const File& file) {
    std::vector<std::byte> bytes(file.size());
    try {
        bytes.resize(file.read_at(bytes, 0));
        return bytes;
    } catch (const FileError&) {
        // Some of it is unreadable; find out which.
    }
    for (std::size_t at = 0; at < bytes.size(); at += layout::page) {
        const auto page = std::span(bytes).subspan(at, std::min(layout::page, bytes.size() - at));
        try {
            (void)file.read_at(page, at);
        } catch (const FileError&) {
            std::fill(page.begin(), page.end(), std::byte{0});
        }
    }
    return bytes;
}

Ends read_header(Directory& directory, const layout::Uuid& topic, Sequence first) {
    const auto file = directory.open(layout::segment_name(first), Directory::Access::read);
    std::vector<std::byte> page(layout::segment_header_bytes);
    page.resize(file->read_at(page, 0));
    return {spill::checked_header(page, topic, first), file->size()};
}

Ends read_ends(Directory& directory, const layout::Uuid& topic, Sequence first) {
    Ends ends = read_header(directory, topic, first);
    std::vector<std::byte> tail(std::min<std::uint64_t>(tail_read, ends.bytes));
    try {
        const auto file = directory.open(layout::segment_name(first), Directory::Access::read);
        if (file->read_at(tail, ends.bytes - tail.size()) == tail.size())
            ends.footer = spill::footer_in(tail, ends.bytes, ends.header);
    } catch (const FileError&) {
        // An unreadable footer is as good as none.
        return ends;
    }
    return ends;
}

Remains examine(Directory& directory, const layout::Uuid& topic, Sequence first,
                Sequence durable_through) {
    const Ends ends = read_ends(directory, topic, first);
    const auto& header = ends.header;
    durable_through = std::max(durable_through, std::min(header.durable_through, first - 1));
    if (ends.footer) durable_through = std::max(durable_through, ends.footer->durable_through);
    if (ends.footer && durable_through >= ends.footer->last) {
        Remains remains;
        remains.next = durable_through + 1;
        remains.durable_through = durable_through;
        remains.lease_through = header.lease_through;
        remains.max_time = ends.footer->max_time;
        remains.used = ends.bytes;
        remains.is_sealed = true;
        return remains;
    }
    const auto file = directory.open(layout::segment_name(first), Directory::Access::read);
    const auto bytes = read_all(*file);
    Remains remains = walk(bytes, header, durable_through);
    remains.is_sealed = ends.footer.has_value();
    return remains;
}

} // namespace shmbus::store
