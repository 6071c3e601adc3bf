#include "ring/writer.hpp"

#include "base/prefetch.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace shmbus::ring {

Writer::Writer(const Topic& topic, std::uint32_t owner) noexcept
    : topic_(topic), owner_(owner),
      policy_(static_cast<FullPolicy>(topic.ring.parameters().full_policy)), gate_(topic, owner),
      pool_(topic_, owner, gate_) {}

bool Writer::is_open() const noexcept {
    return topic_.ring.header().state.load_seq_cst() ==
           static_cast<std::uint32_t>(layout::RingState::open); // pairs with set_state()
}

PublishOutcome Writer::wait_for_room(Sequence s, Deadline deadline) noexcept {
    if (policy_ == FullPolicy::reject)
        return gate_.evict_if_stalled(s - topic_.ring.capacity()) ? PublishOutcome::published
                                                                  : PublishOutcome::full;
    return wait_until(deadline, [&] { return is_room_for(s); });
}

void Writer::prefetch_slot(Sequence s) const noexcept {
    base::prefetch_for_write(&topic_.ring.slot(s));
    base::prefetch_for_write(topic_.ring.slot(s).inline_bytes);
}

void Writer::write_content(Slot& slot, const Draft& draft) noexcept {
    const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(draft.header);
    for (std::size_t i = 0; i < words.size(); ++i) slot.header[i].store_relaxed(words[i]);
    if (draft.header.chunk != layout::no_chunk) return;
    base::store_bytes_relaxed(slot.inline_bytes, draft.extension, draft.header.extension);
    base::store_bytes_relaxed(slot.inline_bytes + (draft.header.extension + 7U) / 8, draft.payload,
                              draft.header.length);
}

PublishOutcome Writer::take_chunk(std::uint64_t bytes, Deadline deadline,
                                  std::uint32_t& chunk) noexcept {
    const auto room = [&] {
        const auto taken = pool_.take(bytes);
        if (taken) chunk = *taken;
        return taken.has_value();
    };
    if (!is_open()) return PublishOutcome::closed;
    if (room()) return PublishOutcome::published;
    if (policy_ != FullPolicy::block) {
        // Short of chunks a reject topic may never be short of slots: who stands still shows here.
        const bool evicted = policy_ == FullPolicy::reject &&
                             gate_.evict_if_stalled(topic_.ring.header().tail.load_acquire() - 1);
        return evicted && room() ? PublishOutcome::published : PublishOutcome::pool_full;
    }
    const auto outcome = wait_until(deadline, room);
    return outcome == PublishOutcome::timed_out ? PublishOutcome::pool_full : outcome;
}

void Writer::interrupt() noexcept {
    interrupt_.store_release(1); // pairs with futex_wait()
    base::futex_wake_private(interrupt_);
}

} // namespace shmbus::ring
