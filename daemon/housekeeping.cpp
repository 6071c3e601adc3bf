#include "daemon/housekeeping.hpp"

#include "daemon/system/notify.hpp"
#include "daemon/system/service.hpp"

#include <fmt/format.h>

namespace shmbus {

namespace {

/// So many seconds without anybody, and up to twice as many, until a topic falls asleep.
constexpr unsigned turns_awake = 5;
/// In which others are served between two topics that fall asleep.
constexpr auto pause = 15 * kj::MILLISECONDS;

} // namespace

Housekeeping::Housekeeping(kj::Timer& timer, registry::Registry& topics,
                           const registry::Sessions& sessions)
    : timer_(timer), topics_(topics), sessions_(sessions), tells_(system::is_heard()) {}

void Housekeeping::start() {
    if (running_ || !(tells_ || topics_.has_chores())) return;
    running_ = true;
    turns_ = turn().eagerlyEvaluate(nullptr);
}

bool Housekeeping::tell() {
    if (!tells_) return false;
    const auto tally = topics_.tally();
    auto status =
        fmt::format("{} topics awake, {} asleep; {} sessions; {} events on their way to disk",
                    tally.awake, tally.asleep, sessions_.count(), tally.behind);
    if (status != told_) system::announce_status(told_ = std::move(status));
    return tally.behind != 0;
}

kj::Promise<void> Housekeeping::turn() {
    return timer_.afterDelay(1 * kj::SECONDS).then([this]() -> kj::Promise<void> {
        topics_.take_stock();
        topics_.quarantine_stalled(); // what stands for a second, and up to twice as long
        topics_.look_for_incidents();
        if (++turn_ % turns_awake == 0) {
            topics_.look_for_sleepers();
            sleeping_ = put_to_sleep().eagerlyEvaluate(nullptr);
        }
        const bool more = tell();
        running_ = more || topics_.has_chores();
        return running_ ? turn() : kj::Promise<void>(kj::READY_NOW);
    });
}

kj::Promise<void> Housekeeping::put_to_sleep() {
    if (!topics_.put_to_sleep()) return kj::READY_NOW;
    return timer_.afterDelay(pause).then([this] { return put_to_sleep(); });
}

} // namespace shmbus
