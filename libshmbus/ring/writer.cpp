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

PublishOutcome Writer::wait_until_open(Deadline deadline) noexcept {
    const auto comes_back = [&] {
        return topic_.ring.header().state.load_seq_cst() ==
               static_cast<std::uint32_t>(layout::RingState::closed);
    };
    for (auto bell = topic_.space_bell(); policy_ == FullPolicy::block;) {
        const std::uint64_t armed_at = bell.arm();
        if (is_open()) return PublishOutcome::published;
        if (!comes_back() || deadline.passed()) break;
        const auto until = std::min(deadline.when(), Deadline::Clock::now() + look_up);
        if (bell.sleep(armed_at, interrupt_, until) == base::Woken::interrupted) {
            interrupt_.store_relaxed(0);
            return PublishOutcome::interrupted;
        }
    }
    return PublishOutcome::closed;
}

Durability Writer::wait_durable(Sequence s, Deadline deadline) noexcept {
    if (topic_.ring.parameters().gate != static_cast<std::uint8_t>(layout::GateKind::durable))
        return Durability::not_durable;
    const auto& header = topic_.ring.header();
    const auto is_durable = [&] { return header.durable.load_seq_cst() >= s; };
    // Nothing is written any more; looked at before what was.
    const auto is_removed = [&] {
        return header.state.load_acquire() ==
               static_cast<std::uint32_t>(layout::RingState::removed);
    };
    // A ring that was closed is still written to disk; without a daemon nothing ever is.
    for (auto bell = topic_.space_bell(); !is_durable();) {
        if (is_removed()) return is_durable() ? Durability::durable : Durability::closed;
        if (deadline.passed()) return Durability::timed_out;
        const std::uint64_t armed_at = bell.arm();
        if (is_durable()) break;
        const auto until = std::min(deadline.when(), Deadline::Clock::now() + look_up);
        if (bell.sleep(armed_at, interrupt_, until) == base::Woken::interrupted) {
            interrupt_.store_relaxed(0);
            return Durability::interrupted;
        }
    }
    return Durability::durable;
}

void Writer::interrupt() noexcept {
    interrupt_.store_release(1); // pairs with futex_wait()
    base::futex_wake_private(interrupt_);
}

} // namespace shmbus::ring
