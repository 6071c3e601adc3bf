#include "daemon/store/batch.hpp"

#include <algorithm>
#include <cstring>

namespace shmbus::store {

void Batch::add(const layout::EventFrame& event) {
    const std::size_t bytes = event.bytes();
    layout::prepare(room(bytes), event);
    note(event.sequence, event.sequence, bytes);
}

void Batch::add(const Gap& gap) {
    layout::prepare(room(layout::tombstone_frame_bytes), gap.first,
                    {gap.last, static_cast<std::uint8_t>(gap.reason), {}});
    note(gap.first, gap.last, layout::tombstone_frame_bytes);
}

void Batch::note(Sequence first, Sequence last, std::size_t bytes) noexcept {
    if (size_ == 0) first_ = first;
    last_ = last;
    last_offset_ = size_;
    size_ += bytes;
}

void Batch::drop_last() noexcept {
    last_ = layout::head_of(bytes_.get() + last_offset_).sequence - 1;
    size_ = last_offset_;
}

void Batch::clear() noexcept {
    size_ = 0;
    if (capacity_ > 4 * enough_bytes) { // one very large event
        bytes_.reset();
        capacity_ = 0;
    }
}

void Batch::grow(std::size_t least) {
    const std::size_t capacity = std::max(2 * capacity_, least);
    auto bytes = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (size_ != 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
}

} // namespace shmbus::store
