#include "daemon/control/drain.hpp"

#include <algorithm>

namespace shmbus::control {

namespace {

constexpr auto first_pause = 2 * kj::MILLISECONDS;
constexpr auto longest_pause = 50 * kj::MILLISECONDS;

kj::Promise<bool> look(kj::Timer& timer, const std::shared_ptr<registry::Topic>& topic,
                       kj::TimePoint deadline, kj::Duration pause) {
    if (topic->state() != layout::RingState::draining) return false;
    if (topic->is_drained_hint()) return true;
    if (timer.now() >= deadline) return false;
    return timer.atTime(std::min(timer.now() + pause, deadline))
        .then([&timer, topic, deadline, pause] {
            return look(timer, topic, deadline, std::min(pause * 3 / 2, longest_pause));
        });
}

} // namespace

kj::Promise<bool> drained(kj::Timer& timer, const std::shared_ptr<registry::Topic>& topic,
                          kj::TimePoint deadline) {
    return look(timer, topic, deadline, first_pause);
}

} // namespace shmbus::control
