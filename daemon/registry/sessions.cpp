#include "daemon/registry/sessions.hpp"

#include "base/peer.hpp"
#include "base/random.hpp"
#include "daemon/registry/options.hpp"
#include "daemon/system/unit.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::registry {

namespace {

Ticket new_ticket() {
    Ticket ticket = 0;
    while (ticket == 0) base::fill_random(std::as_writable_bytes(std::span(&ticket, 1)));
    return ticket;
}

} // namespace

void Sessions::abandon(const Held& held) noexcept {
    if (!held.entry) return;
    if (held.publishes) {
        held.topic->abandon_publisher(*held.entry);
        return;
    }
    if (held.hold != 0) held.topic->subscriptions().release(held.name, held.hold);
    held.topic->abandon_subscriber(*held.entry);
}

void Sessions::note(const Held& held, const Holder& who, IncidentKind of_publisher,
                    IncidentKind of_subscriber) noexcept {
    held.topic->incidents().note(
        {.kind = held.publishes ? of_publisher : of_subscriber, .name = held.name}, who);
}

SessionId Sessions::open(const base::Peer& peer, const std::string& command) {
    if (peer.uid != 0 && count() - count(0) >= limits_.sessions)
        throw Error(
            Errc::limit,
            fmt::format(
                "the bus has {} sessions, the most it may have; to raise that: Sessions= of "
                "[Limits] in the configuration (man shmbusd.conf)",
                limits_.sessions));
    if (count(peer.uid) >= limits_.sessions_per_user)
        throw Error(
            Errc::limit,
            fmt::format(
                "user {} has {} sessions, the most a user may have: let threads share one "
                "connection, or stop a process; to raise that: SessionsPerUser= of [Limits] "
                "in the configuration (man shmbusd.conf)",
                peer.uid, limits_.sessions_per_user));
    const SessionId id = last_session_ + 1;
    sessions_.emplace(id, Session{.who = {.session = id,
                                          .pid = static_cast<std::uint32_t>(peer.pid),
                                          .uid = peer.uid,
                                          .command = command,
                                          .unit = system::unit_of(peer.pid)},
                                  .ticket = new_ticket()});
    return last_session_ = id;
}

void Sessions::adopt(const Holder& who, Ticket ticket) {
    sessions_.insert_or_assign(who.session,
                               Session{.who = who, .ticket = ticket, .connected = false});
    last_session_ = std::max(last_session_, who.session);
}

std::optional<Holder> Sessions::holder(SessionId session) const {
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? std::nullopt : std::optional(found->second.who);
}

std::string Sessions::kept_as(SessionId session) const {
    const auto& kept = sessions_.at(session);
    return fmt::format("s{}.{}.{}", session, kept.who.uid, kept.ticket);
}

void Sessions::adopt(const std::shared_ptr<Topic>& topic, const Topic::Adopted& entry) {
    get(entry.booked.session)
        .held.insert_or_assign(entry.booked.lease,
                               Held{topic, entry.publishes, entry.entry, entry.booked.subscription,
                                    entry.booked.hold});
    last_lease_ = std::max(last_lease_, entry.booked.lease);
}

SessionId Sessions::waiting_for(std::uint32_t pid) const noexcept {
    for (const auto& [id, session] : sessions_)
        if (session.is_ghost && session.who.pid == pid) return id;
    return 0;
}

SessionId Sessions::wait_for(std::uint32_t pid) {
    Holder who{.session = ++last_session_,
               .pid = pid,
               .uid = base::user_of(static_cast<pid_t>(pid)),
               .command = base::command_of(static_cast<pid_t>(pid)),
               .unit = system::unit_of(static_cast<pid_t>(pid))};
    sessions_.emplace(
        who.session,
        Session{.who = who, .ticket = new_ticket(), .connected = false, .is_ghost = true});
    return who.session;
}

Sessions::LeaseId Sessions::take_over(SessionId session, const std::shared_ptr<Topic>& topic,
                                      bool publishes, std::uint32_t entry, std::uint64_t mark) {
    auto& owner = get(session);
    const SessionId ghost = waiting_for(owner.who.pid);
    auto& left = ghost == 0 ? owner.held : sessions_.at(ghost).held;
    const auto it = std::find_if(left.begin(), left.end(), [&](const auto& held) {
        return held.second.topic == topic && held.second.publishes == publishes &&
               held.second.entry == entry;
    });
    const LeaseId lease = new_lease();
    if (ghost == 0 || it == left.end() || !topic->pass_on(publishes, entry, mark, owner.who, lease))
        throw Error(Errc::bad_argument, "topic " + topic->name() + ": nobody knows this entry");
    owner.held.emplace(lease, std::move(it->second));
    left.erase(it);
    if (left.empty()) {
        sessions_.erase(ghost);
        on_gone_(ghost);
    }
    return lease;
}

void Sessions::restore_hold(SessionId session, LeaseId lease, const std::string& subscription,
                            const base::Fd& page) {
    auto& held = get(session, lease);
    held.hold = held.topic->subscriptions().restore(subscription, get(session).who, page,
                                                    held.entry.value());
    held.name = subscription;
    held.topic->note_subscription(*held.entry, subscription, held.hold);
}

std::optional<SessionId> Sessions::resume(const base::Peer& peer, Ticket ticket) {
    for (auto& [id, session] : sessions_) {
        if (session.ticket != ticket || session.connected || session.who.uid != peer.uid ||
            session.who.pid != static_cast<std::uint32_t>(peer.pid))
            continue;
        session.connected = true;
        return id;
    }
    return std::nullopt;
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

Sessions::Held& Sessions::get(SessionId session, LeaseId lease) {
    auto& owner = get(session);
    const auto found = owner.held.find(lease);
    if (found == owner.held.end())
        throw Error(Errc::bad_argument, "this session holds no such publisher or subscriber");
    return found->second;
}

std::shared_ptr<Topic> Sessions::topic_of(SessionId session, LeaseId lease) {
    const auto& held = get(session, lease);
    if (held.publishes) throw Error(Errc::bad_argument, "this is no subscriber");
    return held.topic;
}

/// Room in the books comes first: once an entry is leased nothing may fail.
template <class Grant, class Take>
Grant Sessions::lease(SessionId session, Held held, const char* role, Take take) {
    auto& owner = get(session);
    Topic& topic = *held.topic;
    if (owner.held.size() >= max_leases_per_session)
        throw Error(Errc::limit, "this session holds too many publishers and subscribers: open "
                                 "another connection for more");
    const LeaseId id = ++last_lease_;
    const auto noted = owner.held.emplace(id, std::move(held)).first;
    const auto entry = take(topic, owner.who, id);
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

/// 0 without a name.
std::uint32_t Sessions::named_id(Topic& topic, const std::string& name) {
    if (name.empty()) return 0;
    check_name(name, "publisher");
    if (!topic.disk())
        throw Error(Errc::unsupported,
                    "topic " + topic.name() +
                        " is in memory, and forgets what a named publisher has published: make it "
                        "with --retention disk");
    const std::uint32_t id = topic.disk()->named()->id_of(name);
    if (const auto holder = topic.holder_of(id))
        throw Error(Errc::busy, fmt::format("publisher {} of topic {} is {}", name, topic.name(),
                                            named({*holder})));
    return id;
}

Sessions::PublisherGrant Sessions::lease_publisher(SessionId session, std::shared_ptr<Topic> topic,
                                                   bool exclusive, const std::string& name) {
    if (topic->publisher_count() != 0 && (exclusive || topic->is_exclusive()))
        throw Error(Errc::busy,
                    fmt::format("topic {} has {}: {}; one that is exclusive goes with no other",
                                topic->name(),
                                topic->is_exclusive() ? "an exclusive publisher" : "publishers",
                                named(topic->publishers())));
    const uid_t user = get(session).who.uid;
    if (!topic->is_writable_by(user))
        throw Error(
            Errc::busy,
            fmt::format(
                "topic {} has subscribers who rely on it that user {} does not publish to it, as "
                "was so when they began: stop them first; see who they are with: shmbus topic "
                "info {}",
                topic->name(), user, topic->name()));
    const std::uint32_t named = named_id(*topic, name);
    topic->note_writer(user);
    const auto grant =
        lease<PublisherGrant>(session, {.topic = std::move(topic), .publishes = true, .name = name},
                              "publisher", [=](Topic& from, const Holder& who, LeaseId id) {
                                  return from.lease_publisher(who, id, exclusive, named);
                              });
    const auto& owner = get(session);
    note(owner.held.at(grant.lease), owner.who, IncidentKind::publisher_opened, {});
    return grant;
}

Sessions::SubscriberGrant
Sessions::lease_subscriber(SessionId session, std::shared_ptr<Topic> topic, const Wish& wish) {
    auto grant = lease<SubscriberGrant>(
        session, {topic, false}, "subscriber",
        [](Topic& from, const Holder& who, LeaseId id) { return from.lease_subscriber(who, id); });
    auto& owner = get(session);
    auto& held = owner.held.at(grant.lease);
    if (!wish.name.empty()) {
        try {
            auto& subscriptions = topic->subscriptions();
            grant.durable = wish.group ? subscriptions.join(wish.name, owner.who, grant.entry.entry,
                                                            *wish.group)
                                       : subscriptions.open(wish.name, owner.who, wish.steal);
        } catch (...) {
            take_back(session, grant.lease);
            throw;
        }
        held.name = wish.name;
        held.hold = grant.durable.hold;
        topic->note_subscription(grant.entry.entry, wish.name, held.hold);
    }
    note(held, owner.who, {},
         grant.durable.is_stolen ? IncidentKind::stolen : IncidentKind::subscriber_opened);
    return grant;
}

Sequence Sessions::begin_group(SessionId session, LeaseId lease, Sequence at) {
    const auto& held = get(session, lease);
    if (held.hold == 0) throw Error(Errc::bad_argument, "this is no member of a group");
    return held.topic->subscriptions().begin(held.name, held.hold, at);
}

void Sessions::persist(SessionId session, LeaseId lease, store::CursorKeeper::Done done) {
    const auto& held = get(session, lease);
    if (held.hold == 0) throw Error(Errc::bad_argument, "this is no durable subscription");
    held.topic->subscriptions().persist(held.name, held.hold, std::move(done));
}

void Sessions::release(SessionId session, LeaseId lease) noexcept {
    const auto owner = sessions_.find(session);
    if (owner == sessions_.end()) return;
    const auto held = owner->second.held.find(lease);
    if (held == owner->second.held.end()) return;
    note(held->second, owner->second.who, IncidentKind::publisher_closed,
         IncidentKind::subscriber_closed);
    take_back(session, lease);
}

void Sessions::take_back(SessionId session, LeaseId lease) noexcept {
    const auto held = sessions_.at(session).held.extract(lease);
    abandon(held.mapped());
    held.mapped().topic->reap();
}

std::vector<Sessions::LeaseId> Sessions::keep(SessionId session, const std::set<LeaseId>& leases) {
    auto unknown = leases;
    std::vector<LeaseId> gone;
    for (const auto& [id, held] : get(session).held)
        if (unknown.erase(id) == 0) gone.push_back(id);
    for (const LeaseId id : gone) release(session, id);
    return {unknown.begin(), unknown.end()};
}

bool Sessions::connection_closed(SessionId session) noexcept {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return true;
    found->second.connected = false;
    if (found->second.thread_ended && base::is_running(static_cast<pid_t>(found->second.who.pid)))
        end_subscribers(session);
    if (!found->second.held.empty()) return false; // it may still be writing
    sessions_.erase(found);
    on_gone_(session);
    return true;
}

void Sessions::end_adopted_without_leases() noexcept {
    std::vector<SessionId> idle;
    for (const auto& [id, session] : sessions_)
        if (!session.connected && session.held.empty()) idle.push_back(id);
    for (const SessionId id : idle) connection_closed(id);
}

/// Of a process whose program was replaced (exec), as far as can be told: thread and connection are gone, and
/// it goes on. What it may still write to is not taken from it.
void Sessions::end_subscribers(SessionId session) noexcept {
    std::vector<LeaseId> subscribers;
    for (const auto& [id, held] : sessions_.at(session).held)
        if (!held.publishes) subscribers.push_back(id);
    for (const LeaseId id : subscribers) release(session, id);
}

std::uint32_t Sessions::thread_ended(SessionId session) noexcept {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return 0;
    found->second.thread_ended = true;
    std::map<Topic*, ring::Entries> publishers;
    for (const auto& [id, held] : found->second.held) {
        if (held.publishes && held.entry) publishers[held.topic.get()].set(*held.entry);
        // Others go on with what it had as a member of a group: what it still says of that is not heard.
        if (!held.publishes && held.hold != 0)
            held.topic->subscriptions().suspect(held.name, held.hold);
    }
    std::uint32_t claims = 0;
    for (const auto& [topic, entries] : publishers) {
        const auto done = topic->quarantine(entries);
        if (done.claims == 0) continue;
        claims += done.claims;
        topic->incidents().note(
            {.kind = IncidentKind::aborted, .first = done.first, .last = done.last},
            found->second.who);
    }
    // That comes through another thread: the connection's end may have been heard of before.
    if (!found->second.connected) (void)connection_closed(session);
    return claims;
}

std::optional<Ended> Sessions::process_died(SessionId session) noexcept {
    auto gone = sessions_.extract(session);
    if (gone.empty()) return std::nullopt;
    Ended ended{.who = std::move(gone.mapped().who), .reaped = {}};
    // Each topic is gone through once, however many of its entries the process held.
    for (const auto& [id, held] : gone.mapped().held) {
        note(held, ended.who, IncidentKind::publisher_died, IncidentKind::subscriber_died);
        abandon(held);
        ++(held.publishes ? ended.publishers : ended.subscribers);
    }
    for (const auto& [id, held] : gone.mapped().held) {
        const auto reaped = held.topic->reap();
        if (reaped.claims != 0)
            held.topic->incidents().note(
                {.kind = IncidentKind::aborted, .first = reaped.first, .last = reaped.last},
                ended.who);
        ended.reaped.claims += reaped.claims;
        ended.reaped.chunks += reaped.chunks;
    }
    on_gone_(session);
    return ended;
}

} // namespace shmbus::registry
