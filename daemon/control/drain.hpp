// Waiting until a draining topic is empty.
//
// Subscribers acknowledge in shared memory and tell nobody, so this looks from time to time: every
// 2 ms at first, then less and less often, down to every 50 ms. The cursors are the subscribers'
// own word, which is all there is to know: an acknowledgement concerns nobody but its subscriber.
#pragma once

#include "daemon/registry/topic.hpp"

#include <kj/timer.h>
#include <memory>

namespace shmbus::control {

/// Whether it was drained before `deadline`; early false when it drains no more, as the drain was
/// undone or the topic removed: topic->state() says which.
[[nodiscard]] kj::Promise<bool>
drained(kj::Timer& timer, const std::shared_ptr<registry::Topic>& topic, kj::TimePoint deadline);

} // namespace shmbus::control
