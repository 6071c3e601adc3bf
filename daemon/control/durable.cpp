// A session's requests about durable subscriptions.
#include "daemon/control/kept.hpp"
#include "daemon/control/session_server.hpp"

#include <algorithm>

namespace shmbus::control {

namespace {

void write_group(const GroupInfo& info, protocol::GroupInfo::Builder to) {
    write_options(info.options, to.initOptions());
    auto members = to.initMembers(static_cast<unsigned>(info.members.size()));
    for (unsigned i = 0; i < members.size(); ++i) {
        const auto& member = info.members[i];
        write_holder(
            {.pid = member.peer.pid, .uid = member.peer.uid, .command = member.peer.command},
            members[i].initPeer());
        members[i].setSlots(member.slots);
        members[i].setInFlight(member.in_flight);
        members[i].setPosition(member.position);
        members[i].setStalled(member.stalled);
    }
    to.setInFlight(info.in_flight);
    to.setWaiting(info.waiting);
    to.setRedelivered(info.redelivered);
    to.setSetAside(info.set_aside);
}

void write_subscription(const registry::Subscriptions::Info& info,
                        protocol::SubscriptionInfo::Builder to) {
    to.setName(to_kj(info.name));
    to.setCursor(info.record.cursor);
    to.setBegun(info.record.begun);
    to.setPaused(info.record.paused);
    to.setCreatedNs(info.record.created_ns);
    to.setCreatorUid(info.record.creator);
    if (info.holder) write_holder(*info.holder, to.initHolder());
    if (info.group) write_group(*info.group, to.initGroup());
}

/// So many of these as fit into a message, whatever their groups have.
unsigned count_of(const std::vector<registry::Subscriptions::Info>& all, std::uint32_t limit) {
    constexpr std::size_t most_members = 256; // a group may have as many
    unsigned count = 0;
    std::size_t members = 0;
    for (const auto& info : all) {
        members += info.group ? info.group->members.size() : 0;
        if (count == limit || (count != 0 && members > most_members)) break;
        ++count;
    }
    return count;
}

} // namespace

kj::Promise<void> SessionServer::listSubscriptions(ListSubscriptionsContext context) {
    return answer(context, "listSubscriptions", [&](auto parameters, auto results) {
        auto all = topics().subscriptions(to_string(parameters.getTopic()));
        const auto after = to_string(parameters.getAfter());
        std::erase_if(all, [&](const auto& info) { return info.name <= after; });
        const auto limit =
            std::clamp<std::uint32_t>(parameters.getLimit(), 1, max_topics_per_answer);
        const auto count = count_of(all, limit);
        auto list = results.initSubscriptions(count);
        for (unsigned i = 0; i < count; ++i) write_subscription(all[i], list[i]);
        results.setMore(all.size() > count);
    });
}

kj::Promise<void> SessionServer::createSubscription(CreateSubscriptionContext context) {
    return answer_when_kept(context, "createSubscription", [&](auto parameters, auto done) {
        require(Right::subscribe, to_string(parameters.getTopic()));
        const auto topic = topics().find(to_string(parameters.getTopic()));
        std::optional<GroupOptions> group;
        if (parameters.hasGroup()) group = read_options(parameters.getGroup());
        topic->subscriptions().create(to_string(parameters.getName()), client_->peer.uid, group,
                                      std::move(done));
    });
}

kj::Promise<void> SessionServer::beginGroup(BeginGroupContext context) {
    return answer(context, "beginGroup", [&](auto parameters, auto results) {
        results.setAcknowledged(
            sessions().begin_group(id(), parameters.getLease(), parameters.getAt()));
        client_->context.keep_house();
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
