// Waiting for what happens to a topic in shared memory, where nobody tells the event loop of it.
//
// So these look from time to time: every 2 ms at first, then less and less often, down to every 50 ms.
#pragma once

#include "daemon/registry/topic.hpp"

#include <kj/timer.h>
#include <memory>

namespace shmbus::control {

/// Whether it was drained before `deadline`; early false when it drains no more, as the drain was
/// undone or the topic removed: topic->state() says which. The cursors are the subscribers' own word,
/// which is all there is to know: an acknowledgement concerns nobody but its subscriber.
[[nodiscard]] kj::Promise<bool>
drained(kj::Timer& timer, const std::shared_ptr<registry::Topic>& topic, kj::TimePoint deadline);

/// Until a topic on disk has its events up to `sequence` in files; early when its disk is in trouble, or
/// the topic not open any more.
[[nodiscard]] kj::Promise<void> written(kj::Timer& timer,
                                        const std::shared_ptr<registry::Topic>& topic,
                                        layout::Sequence sequence, kj::TimePoint deadline);

} // namespace shmbus::control
