#include "daemon/control/waits.hpp"

#include <algorithm>

namespace shmbus::control {

namespace {

using layout::RingState;

constexpr auto first_pause = 2 * kj::MILLISECONDS;
constexpr auto longest_pause = 50 * kj::MILLISECONDS;

/// `answer` says how it came out, once that is known; false when it is not by `deadline`.
template <class Answer>
kj::Promise<bool> look(kj::Timer& timer, Answer answer, kj::TimePoint deadline,
                       kj::Duration pause = first_pause) {
    if (const std::optional<bool> known = answer()) return *known;
    if (timer.now() >= deadline) return false;
    return timer.atTime(std::min(timer.now() + pause, deadline))
        .then([&timer, answer = std::move(answer), deadline, pause]() mutable {
            return look(timer, std::move(answer), deadline, std::min(pause * 3 / 2, longest_pause));
        });
}

} // namespace

kj::Promise<bool> drained(kj::Timer& timer, const std::shared_ptr<registry::Topic>& topic,
                          kj::TimePoint deadline) {
    const auto answer = [topic]() -> std::optional<bool> {
        if (topic->state() != RingState::draining) return false;
        if (topic->is_drained_hint()) return true;
        return std::nullopt;
    };
    return look(timer, answer, deadline);
}

kj::Promise<void> written(kj::Timer& timer, const std::shared_ptr<registry::Topic>& topic,
                          layout::Sequence sequence, kj::TimePoint deadline) {
    const auto answer = [topic, sequence]() -> std::optional<bool> {
        if (topic->disk()->kept().written >= sequence) return true;
        if (topic->disk()->is_degraded() || topic->state() != RingState::open) return false;
        return std::nullopt;
    };
    return look(timer, answer, deadline).ignoreResult();
}

} // namespace shmbus::control
