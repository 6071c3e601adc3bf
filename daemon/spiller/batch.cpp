#include "daemon/spiller/batch.hpp"

namespace shmbus::spiller {

void Batch::add(Sequence s, const layout::EventHeader& header, Bytes extension, Bytes payload) {
    entries_.push_back({s, s, std::nullopt, header, bytes_.size()});
    bytes_.insert(bytes_.end(), extension.begin(), extension.end());
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
}

void Batch::add(const Gap& gap) {
    entries_.push_back({gap.first, gap.last, gap.reason, {}, bytes_.size()});
}

void Batch::drop_last() noexcept {
    bytes_.resize(entries_.back().offset);
    entries_.pop_back();
}

void Batch::clear() noexcept {
    entries_.clear();
    bytes_.clear();
    if (bytes_.capacity() > 4 * enough_bytes) bytes_.shrink_to_fit(); // one very large event
}

layout::EventFrame Batch::frame_of(const Entry& entry) const noexcept {
    const auto body = Bytes(bytes_).subspan(entry.offset);
    return {.sequence = entry.first,
            .header = entry.header,
            .extension = body.first(entry.header.extension),
            .payload = body.subspan(entry.header.extension, entry.header.length)};
}

} // namespace shmbus::spiller
