// Events and gaps on their way to a log, in the order of their sequences, without a hole.
//
// They are frames already, made where the bytes come from; a segment's writer puts in what depends on where
// they go, and writes them from here.
#pragma once

#include "layout/frame_writer.hpp"
#include "shmbus/types.hpp"

#include <memory>

namespace shmbus::store {

class Batch {
  public:
    /// Where the next event's extension block and payload can be put, one behind the other and each padded
    /// to 8, if they are not larger than `most`: then add() copies nothing.
    [[nodiscard]] std::byte* next_body(std::size_t most) {
        return room(layout::event_head_bytes + most) + layout::event_head_bytes;
    }
    void add(const layout::EventFrame& event);
    void add(const Gap& gap);
    /// Takes the last one back.
    void drop_last() noexcept;
    void clear() noexcept;

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    /// More in one batch gains nothing.
    [[nodiscard]] bool is_full() const noexcept { return size_ >= enough_bytes; }
    [[nodiscard]] Sequence first() const noexcept { return first_; }
    [[nodiscard]] Sequence last() const noexcept { return last_; }
    /// Calls on_event(sequence, layout::EventHeader) for each that is no tombstone, in their order.
    template <class OnEvent> void for_each_event(OnEvent on_event) const {
        for (std::size_t at = 0; at < size_;) {
            const std::byte* const frame = bytes_.get() + at;
            const auto head = layout::head_of(frame);
            at += head.length;
            if (head.kind != layout::FrameKind::event) continue;
            layout::EventHeader event;
            std::memcpy(&event, frame + sizeof head, sizeof event);
            on_event(head.sequence, event);
        }
    }
    /// To be sealed, once.
    [[nodiscard]] std::span<std::byte> frames() noexcept { return {bytes_.get(), size_}; }

  private:
    static constexpr std::size_t enough_bytes = std::size_t{1} << 20U;

    std::byte* room(std::size_t bytes) {
        if (size_ + bytes > capacity_) grow(size_ + bytes);
        return bytes_.get() + size_;
    }
    void grow(std::size_t least);
    void note(Sequence first, Sequence last, std::size_t bytes) noexcept;

    std::unique_ptr<std::byte[]>
        bytes_; // no vector, which would fill with zeros what it makes room for
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
    std::size_t last_offset_ = 0; // of the last frame
    Sequence first_ = 0;
    Sequence last_ = 0;
};

} // namespace shmbus::store
