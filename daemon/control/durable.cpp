// A session's requests about durable subscriptions.
#include "daemon/control/kept.hpp"
#include "daemon/control/session_server.hpp"

#include <algorithm>

namespace shmbus::control {

namespace {

void write_subscription(const registry::Subscriptions::Info& info,
                        protocol::SubscriptionInfo::Builder to) {
    to.setName(to_kj(info.name));
    to.setCursor(info.record.cursor);
    to.setBegun(info.record.begun);
    to.setPaused(info.record.paused);
    to.setCreatedNs(info.record.created_ns);
    to.setCreatorUid(info.record.creator);
    if (info.holder) write_holder(*info.holder, to.initHolder());
}

} // namespace

kj::Promise<void> SessionServer::listSubscriptions(ListSubscriptionsContext context) {
    return answer(context, "listSubscriptions", [&](auto parameters, auto results) {
        auto all = topics().subscriptions(to_string(parameters.getTopic()));
        const auto after = to_string(parameters.getAfter());
        std::erase_if(all, [&](const auto& info) { return info.name <= after; });
        const auto limit =
            std::clamp<std::uint32_t>(parameters.getLimit(), 1, max_topics_per_answer);
        const auto count = static_cast<unsigned>(std::min<std::size_t>(all.size(), limit));
        auto list = results.initSubscriptions(count);
        for (unsigned i = 0; i < count; ++i) write_subscription(all[i], list[i]);
        results.setMore(all.size() > count);
    });
}

kj::Promise<void> SessionServer::createSubscription(CreateSubscriptionContext context) {
    return answer_when_kept(context, "createSubscription", [&](auto parameters, auto done) {
        require(Right::subscribe, to_string(parameters.getTopic()));
        const auto topic = topics().find(to_string(parameters.getTopic()));
        topic->subscriptions().create(to_string(parameters.getName()), client_->peer.uid,
                                      std::move(done));
    });
}

kj::Promise<void> SessionServer::seekSubscription(SeekSubscriptionContext context) {
    return answer_when_kept(context, "seekSubscription", [&](auto parameters, auto done) {
        const auto topic = topics().find(to_string(parameters.getTopic()));
        const auto name = to_string(parameters.getName());
        require_change(*topic, name);
        const Sequence cursor = parameters.getCursor();
        if (cursor > topic->head_hint())
            throw Error(Errc::bad_argument,
                        fmt::format("event {} is still to come: the newest is {}", cursor,
                                    topic->head_hint()));
        topic->subscriptions().seek(name, cursor, std::move(done));
        note(*topic, {.kind = IncidentKind::sought, .name = name, .last = cursor});
        note(system::messages::subscription_changed,
             {.topic = topic->name(), .subscription = name, .sequence = cursor},
             fmt::format("moved subscription {} of topic {} behind event {}", name, topic->name(),
                         cursor));
    });
}

kj::Promise<void> SessionServer::pauseSubscription(PauseSubscriptionContext context) {
    return answer_when_kept(context, "pauseSubscription", [&](auto parameters, auto done) {
        const auto topic = topics().find(to_string(parameters.getTopic()));
        const auto name = to_string(parameters.getName());
        require_change(*topic, name);
        topic->subscriptions().pause(name, parameters.getPaused(), std::move(done));
        note(*topic, {.kind = parameters.getPaused() ? IncidentKind::paused : IncidentKind::resumed,
                      .name = name});
    });
}

kj::Promise<void> SessionServer::removeSubscription(RemoveSubscriptionContext context) {
    return answer_when_kept(context, "removeSubscription", [&](auto parameters, auto done) {
        const auto topic = topics().find(to_string(parameters.getTopic()));
        const auto name = to_string(parameters.getName());
        require_change(*topic, name);
        topic->subscriptions().remove(name, parameters.getForce(), std::move(done));
        note(*topic, {.kind = IncidentKind::removed, .name = name});
        note(system::messages::subscription_changed, {.topic = topic->name(), .subscription = name},
             fmt::format("removed subscription {} of topic {}", name, topic->name()));
    });
}

kj::Promise<void> SessionServer::persist(PersistContext context) {
    return answer_when_kept(context, "persist", [&](auto parameters, auto done) {
        sessions().persist(id(), parameters.getLease(), std::move(done));
    });
}

/// Its owner may, and who may administer the topic.
void SessionServer::require_hold(registry::Topic& topic, const std::string& subscription) const {
    const auto owner = topic.subscriptions().owner_of(subscription);
    if (!owner || *owner == client_->peer.uid) return;
    const auto& policy = client_->context.policy;
    const auto who = client_->subject();
    if (policy.may(Right::administer, who, topic.name(), topic.creator())) return;
    throw Error(Errc::permission,
                fmt::format("subscription {} of topic {} is user {}'s: take another name; or, {}",
                            subscription, topic.name(), *owner,
                            policy.why_not(Right::administer, who, topic.name(), topic.creator())));
}

/// Its creator may, and who may do the same to the topic.
void SessionServer::require_change(registry::Topic& topic, const std::string& subscription) const {
    if (topic.subscriptions().creator_of(subscription) != client_->peer.uid)
        require_administer(topic);
}

} // namespace shmbus::control
