#include "ring/writer.hpp"

#include <algorithm>

namespace shmbus::ring {

Writer::Writer(const Topic& topic, std::uint32_t owner) noexcept
    : topic_(topic), owner_(owner),
      policy_(static_cast<FullPolicy>(topic.ring.parameters().full_policy)), gate_(topic, owner),
      pool_(topic_, owner, gate_) {}

PublishOutcome Writer::wait_for_room(Sequence s, Deadline deadline) noexcept {
    if (policy_ == FullPolicy::reject)
        return gate_.evict_if_stalled(s - topic_.ring.capacity()) ? PublishOutcome::published
                                                                  : PublishOutcome::full;
    return wait_until(deadline, [&] { return is_room_for(s); });
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
