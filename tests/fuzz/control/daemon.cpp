#include "fuzz/control/daemon.hpp"

#include "daemon/system/service.hpp"

#include <filesystem>

namespace shmbus::test {

namespace {

/// A few of everything, so that inputs reach all of them.
constexpr registry::Limits limits{.sessions = 6,
                                  .sessions_per_user = 4,
                                  .topics_per_user = 24,
                                  .subscriptions_per_topic = 6,
                                  .subscriptions_per_user = 3,
                                  .memory_per_user = 16U << 20U,
                                  .disk_per_user = 64U << 20U};

control::Policy policy() {
    control::AccessRules rules;
    rules.use = {.users = {std::to_string(admitted_user)}};
    rules.administer = {};
    for (const auto right :
         {control::Right::publish, control::Right::subscribe, control::Right::administer})
        rules.topics[private_topic].emplace(right, control::AccessList{});
    return {0, rules};
}

} // namespace

TopicOptions small_options() {
    return {.capacity = 64,
            .slot_bytes = 128,
            .max_event = 64,
            .pool_bytes = 0,
            .retention = Retention::memory,
            .keep_bytes = 1U << 20U};
}

Daemon::Daemon()
    : context{topics,
              sessions,
              policy(),
              timer,
              10 * kj::SECONDS,
              hand_back_,
              watch_,
              [this](registry::SessionId id) { return supervisor_.watch_thread(id); },
              [this] { house_.start(); },
              control::shares_of(limits, system::descriptor_limit())} {
    std::filesystem::permissions(directory_.path(), std::filesystem::perms(0755));
    io.waitScope.setBusyPollInterval(64);
    topics.set_limits(limits);
    sessions.set_limits(limits);
    on_gone_ = [this](registry::SessionId id) {
        alive_.erase(id);
        supervisor_.forget(id);
        server_.drop(id);
        house_.start();
    };
    serving_ = server_.serve().eagerlyEvaluate(nullptr);
    // Nobody was there before whose clients would be waited for.
    auto& real = io.provider->getTimer();
    while (topics.may_be_handed_back()) real.afterDelay(10 * kj::MILLISECONDS).wait(io.waitScope);
}

void Daemon::pass(kj::Duration time) {
    timer.advanceTo(timer.now() + time);
    turn();
}

void Daemon::end_all_but(registry::SessionId session) {
    const auto all = alive_;
    for (const auto id : all)
        if (id != session) (void)sessions.process_died(id);
    turn();
}

} // namespace shmbus::test
