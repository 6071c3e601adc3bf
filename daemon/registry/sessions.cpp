#include "daemon/registry/sessions.hpp"

#include "daemon/registry/limits.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::registry {

void Sessions::abandon(const Held& held) noexcept {
    if (!held.entry) return;
    if (held.publishes) {
        held.topic->abandon_publisher(*held.entry);
        return;
    }
    if (held.hold != 0) held.topic->subscriptions().release(held.subscription, held.hold);
    held.topic->abandon_subscriber(*held.entry);
}

SessionId Sessions::open(const base::Peer& peer, const std::string& command) {
    if (peer.uid != 0 && count() - count(0) >= max_sessions)
        throw Error(Errc::limit,
                    fmt::format("the bus has {} sessions, the most it may have", max_sessions));
    if (count(peer.uid) >= max_sessions_per_user)
        throw Error(Errc::limit, fmt::format("user {} has {} sessions, the most a user may have: "
                                             "let threads share one connection, or stop a process",
                                             peer.uid, max_sessions_per_user));
    const SessionId id = last_session_ + 1;
    sessions_.emplace(id, Session{.who = {.session = id,
                                          .pid = static_cast<std::uint32_t>(peer.pid),
                                          .uid = peer.uid,
                                          .command = command},
                                  .held = {}});
    return last_session_ = id;
}

std::size_t Sessions::count(uid_t uid) const noexcept {
    return static_cast<std::size_t>(
        std::count_if(sessions_.begin(), sessions_.end(),
                      [&](const auto& session) { return session.second.who.uid == uid; }));
}

Sessions::Session& Sessions::get(SessionId session) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end())
        throw Error(Errc::disconnected, "the process that opened this session is dead");
    return found->second;
}

/// Room in the books comes first: once an entry is leased nothing may fail.
template <class Grant, class Take>
Grant Sessions::lease(SessionId session, Held held, const char* role, Take take) {
    auto& owner = get(session);
    Topic& topic = *held.topic;
    const LeaseId id = ++last_lease_;
    const auto noted = owner.held.emplace(id, std::move(held)).first;
    const auto entry = take(topic, owner.who);
    if (!entry) {
        const auto full =
            fmt::format("topic {} has no free entry for a {}, all {} are held; see by "
                        "whom with: shmbus topic info {}",
                        topic.name(), role, entries_per_topic, topic.name());
        owner.held.erase(noted);
        throw Error(Errc::limit, full);
    }
    noted->second.entry = entry->entry;
    return {id, *entry};
}

Sessions::PublisherGrant Sessions::lease_publisher(SessionId session, std::shared_ptr<Topic> topic,
                                                   bool exclusive) {
    if (topic->publisher_count() != 0 && (exclusive || topic->is_exclusive()))
        throw Error(Errc::busy,
                    fmt::format("topic {} has {}: {}; one that is exclusive goes with no other",
                                topic->name(),
                                topic->is_exclusive() ? "an exclusive publisher" : "publishers",
                                named(topic->publishers())));
    return lease<PublisherGrant>(
        session, {std::move(topic), true}, "publisher",
        [=](Topic& from, const Holder& who) { return from.lease_publisher(who, exclusive); });
}

Sessions::SubscriberGrant
Sessions::lease_subscriber(SessionId session, std::shared_ptr<Topic> topic, const Wish& wish) {
    auto grant = lease<SubscriberGrant>(
        session, {topic, false}, "subscriber",
        [](Topic& from, const Holder& who) { return from.lease_subscriber(who); });
    if (wish.name.empty()) return grant;
    try {
        auto& owner = get(session);
        auto& held = owner.held.at(grant.lease);
        held.subscription = wish.name;
        grant.durable = topic->subscriptions().open(wish.name, owner.who, wish.steal);
        held.hold = grant.durable.hold;
    } catch (...) {
        release(session, grant.lease);
        throw;
    }
    return grant;
}

void Sessions::persist(SessionId session, LeaseId lease, store::CursorKeeper::Done done) {
    auto& owner = get(session);
    const auto held = owner.held.find(lease);
    if (held == owner.held.end() || held->second.hold == 0)
        throw Error(Errc::bad_argument, "this is no durable subscription");
    held->second.topic->subscriptions().persist(held->second.subscription, held->second.hold,
                                                std::move(done));
}

void Sessions::release(SessionId session, LeaseId lease) noexcept {
    const auto owner = sessions_.find(session);
    if (owner == sessions_.end()) return;
    const auto held = owner->second.held.extract(lease);
    if (held.empty()) return;
    abandon(held.mapped());
    held.mapped().topic->reap();
}

bool Sessions::connection_closed(SessionId session) noexcept {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return true;
    if (!found->second.held.empty()) return false; // it may still be writing
    sessions_.erase(found);
    on_gone_(session);
    return true;
}

std::optional<Ended> Sessions::process_died(SessionId session) noexcept {
    auto gone = sessions_.extract(session);
    if (gone.empty()) return std::nullopt;
    Ended ended{.who = std::move(gone.mapped().who), .reaped = {}};
    // Each topic is gone through once, however many of its entries the process held.
    for (const auto& [id, held] : gone.mapped().held) {
        abandon(held);
        ++(held.publishes ? ended.publishers : ended.subscribers);
    }
    for (const auto& [id, held] : gone.mapped().held) {
        const auto reaped = held.topic->reap();
        ended.reaped.claims += reaped.claims;
        ended.reaped.chunks += reaped.chunks;
    }
    on_gone_(session);
    return ended;
}

} // namespace shmbus::registry
