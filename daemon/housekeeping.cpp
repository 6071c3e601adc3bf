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
/// However often somebody comes and goes.
constexpr auto until_sweep = 10 * kj::MILLISECONDS;

} // namespace

Housekeeping::Housekeeping(kj::Timer& timer, registry::Registry& topics,
                           const registry::Sessions& sessions, activation::Activator& activator)
    : timer_(timer), topics_(topics), sessions_(sessions), activator_(activator),
      tells_(system::is_heard()) {}

bool Housekeeping::has_chores() const { return topics_.has_chores() || activator_.has_chores(); }

/// As long as there are groups with members.
kj::Promise<void> Housekeeping::sweep_groups(kj::Duration until) {
    sweep_at_ = timer_.now() + until;
    return timer_.afterDelay(until).then([this]() -> kj::Promise<void> {
        sweep_at_.reset();
        const auto next = topics_.sweep_groups();
        return next ? sweep_groups(next->count() * kj::MILLISECONDS)
                    : kj::Promise<void>(kj::READY_NOW);
    });
}

void Housekeeping::start() {
    // Members may have come, or gone, and slots are to move.
    if (!sweep_at_ || *sweep_at_ > timer_.now() + until_sweep)
        sweeping_ = sweep_groups(until_sweep).eagerlyEvaluate(nullptr);
    if (running_ || !(tells_ || has_chores())) return;
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
        // Who holds a subscription may be about to come back from an earlier daemon.
        if (!topics_.may_be_handed_back()) activator_.look();
        if (++turn_ % turns_awake == 0) {
            topics_.look_for_sleepers();
            sleeping_ = put_to_sleep().eagerlyEvaluate(nullptr);
        }
        const bool more = tell();
        running_ = more || has_chores();
        return running_ ? turn() : kj::Promise<void>(kj::READY_NOW);
    });
}

kj::Promise<void> Housekeeping::put_to_sleep() {
    if (!topics_.put_to_sleep()) return kj::READY_NOW;
    return timer_.afterDelay(pause).then([this] { return put_to_sleep(); });
}

} // namespace shmbus
