#include "daemon/control/session_server.hpp"

#include "daemon/control/answering.hpp"
#include "daemon/control/leases.hpp"
#include "daemon/control/waits.hpp"
#include "daemon/spiller/segment_file.hpp"

#include <algorithm>
#include <kj/common.h>

namespace shmbus::control {

const char* const server_version = "shmbusd " SHMBUS_VERSION;

namespace {

constexpr auto longest_wait = 1 * kj::SECONDS; // for a disk that tells of no trouble

} // namespace

kj::Promise<void> BusServer::hello(HelloContext context) {
    return answer(context, "hello", [&](auto parameters, auto results) {
        auto& shared = client_->context;
        if (client_->session) throw Error(Errc::busy, "this connection has a session already");
        if (parameters.getProtocolMajor() != protocol::PROTOCOL_MAJOR)
            throw Error(Errc::incompatible,
                        fmt::format("this daemon speaks version {} of the control protocol, the "
                                    "client {}: install the same version of both",
                                    protocol::PROTOCOL_MAJOR, parameters.getProtocolMajor()));
        if (!shared.policy.may_connect(client_->subject()))
            throw Error(Errc::permission, shared.policy.why_not_connect(client_->subject()));
        if (client_->peer.pid == 0)
            throw Error(Errc::unsupported,
                        "the daemon cannot see this process, as it is in a process "
                        "namespace outside of the daemon's");
        auto server = kj::heap<SessionServer>(client_);
        const std::string version = to_string(parameters.getClient()).substr(0, 64);
        client_->session = shared.sessions.resume(client_->peer, parameters.getTicket());
        const bool resumed = client_->session.has_value();
        if (!resumed) {
            if (parameters.getTicket() != 0) shared.registry.note_return();
            client_->session = shared.sessions.open(client_->peer, client_->command);
            shared.watch(*client_->session, std::move(client_->pidfd));
        }
        const auto thread =
            std::make_shared<const ClientFile>(*client_, shared.watch_thread(*client_->session));
        shared.peer_log.log(system::messages::session_begun, client_->about(),
                            fmt::format("session {}: {} (pid {}, user {}), {}{}", *client_->session,
                                        client_->command, client_->peer.pid, client_->peer.uid,
                                        version, resumed ? ", is back" : ""));
        client_->on_session->fulfill();
        results.setServer(server_version);
        results.setTicket(shared.sessions.ticket_of(*client_->session));
        results.setResumed(resumed);
        results.setSession(kj::mv(server));
        results.setThread(kj::heap<FileServer>(client_, thread));
        client_->in_flight.push_back(thread);
    });
}

kj::Promise<void> SessionServer::createTopic(CreateTopicContext context) {
    return answer(context, "createTopic", [&](auto parameters, auto results) {
        const auto& policy = client_->context.policy;
        if (!policy.may_create(client_->subject()))
            throw Error(Errc::permission, policy.why_not_create(client_->subject()));
        const auto name = to_string(parameters.getName());
        const bool created = topics().create(name, read_options(parameters.getOptions()),
                                             parameters.getIfMissing(), client_->peer.uid);
        if (created) note(system::messages::topic_made, {.topic = name}, "made topic " + name);
        client_->context.keep_house();
        results.setCreated(created);
    });
}

kj::Promise<void> SessionServer::listTopics(ListTopicsContext context) {
    return answer(context, "listTopics", [&](auto parameters, auto results) {
        const auto limit =
            std::clamp<std::uint32_t>(parameters.getLimit(), 1, max_topics_per_answer);
        const auto page = topics().list(to_string(parameters.getAfter()), limit);
        auto list = results.initTopics(static_cast<unsigned>(page.topics.size()));
        for (unsigned i = 0; i < page.topics.size(); ++i) write_topic(page.topics[i], list[i]);
        results.setMore(page.more);
    });
}

kj::Promise<void> SessionServer::describeTopic(DescribeTopicContext context) {
    return answer(context, "describeTopic", [&](auto parameters, auto results) {
        const auto entry = topics().look(to_string(parameters.getName()));
        auto info = results.initTopic();
        write_topic(entry, info);
        write_details(entry, info);
    });
}

kj::Promise<void> SessionServer::listIncidents(ListIncidentsContext context) {
    return answer(context, "listIncidents", [&](auto parameters, auto results) {
        const auto limit =
            std::clamp<std::uint32_t>(parameters.getLimit(), 1, max_topics_per_answer);
        const auto incidents =
            topics().incidents(to_string(parameters.getTopic()), parameters.getAfter(), limit + 1);
        const auto count = static_cast<unsigned>(std::min<std::size_t>(incidents.size(), limit));
        auto list = results.initIncidents(count);
        for (unsigned i = 0; i < count; ++i) write_incident(incidents[i], list[i]);
        results.setMore(incidents.size() > count);
    });
}

kj::Promise<void> SessionServer::removeTopic(RemoveTopicContext context) {
    return answer(context, "removeTopic", [&](auto parameters, auto) {
        const auto topic = topics().find(to_string(parameters.getName()));
        require_administer(*topic);
        topics().remove(topic, parameters.getForce());
        client_->context.keep_house();
        note(system::messages::topic_removed, {.topic = topic->name()},
             "removed topic " + topic->name());
    });
}

kj::Promise<void> SessionServer::drainTopic(DrainTopicContext context) {
    using layout::RingState;
    std::shared_ptr<registry::Topic> draining;
    auto done = answer(context, "drainTopic", [&](auto parameters, auto) {
        const auto topic = topics().find(to_string(parameters.getName()));
        require_administer(*topic);
        const auto wanted = parameters.getUndo() ? RingState::open : RingState::draining;
        if (wanted == RingState::draining && client_->drains >= ClientState::max_drains)
            throw Error(Errc::limit, fmt::format("this session waits for {} drains, the most it "
                                                 "may",
                                                 client_->drains));
        if (topic->state() != wanted) {
            topic->set_state(wanted);
            note(*topic,
                 {.kind = parameters.getUndo() ? IncidentKind::reopened : IncidentKind::draining});
            note(system::messages::topic_drained, {.topic = topic->name()},
                 (parameters.getUndo() ? "opened again topic " : "drains topic ") + topic->name());
        }
        if (wanted == RingState::draining) draining = topic;
    });
    if (!draining) return done;
    const auto wait = std::min(context.getParams().getTimeoutMs(), max_drain_wait_ms);
    auto& timer = client_->context.timer;
    context.allowCancellation();
    return drained(timer, draining, timer.now() + wait * kj::MILLISECONDS)
        .then([context, draining](bool yes) mutable {
            return answer(context, "drainTopic", [&](auto, auto results) {
                if (draining->state() == RingState::removed)
                    throw Error(Errc::no_such_topic,
                                "topic " + draining->name() + " was removed meanwhile");
                if (draining->state() != RingState::draining)
                    throw Error(Errc::busy,
                                "draining topic " + draining->name() + " was undone meanwhile");
                results.setDrained(yes);
            });
        })
        .attach(Counted(client_, &ClientState::drains));
}

template <class Work>
kj::Promise<void> SessionServer::when_settled(const std::string& topic, Work work) {
    bool is_missed = false;
    try {
        is_missed = topics().is_missed(topic);
    } catch (
        const std::exception&) { // NOLINT(bugprone-empty-catch): who opens it will hear of that
    }
    if (!is_missed) return work();
    constexpr auto pause = 10 * kj::MILLISECONDS;
    return client_->context.timer.afterDelay(pause).then(
        [this, topic, work = kj::mv(work)]() mutable { return when_settled(topic, kj::mv(work)); });
}

kj::Promise<void> SessionServer::openPublisher(OpenPublisherContext context) {
    return when_settled(to_string(context.getParams().getTopic()),
                        [this, context]() mutable { return open_publisher(context); });
}

kj::Promise<void> SessionServer::openSubscriber(OpenSubscriberContext context) {
    return when_settled(to_string(context.getParams().getTopic()),
                        [this, context]() mutable { return open_subscriber(context); });
}

kj::Promise<void> SessionServer::open_publisher(OpenPublisherContext& context) {
    std::shared_ptr<registry::Topic> topic;
    registry::Sessions::LeaseId lease = 0;
    kj::Promise<void> settled = kj::READY_NOW;
    auto answered = answer(context, "openPublisher", [&](auto parameters, auto results) {
        const auto wanted = openable(Right::publish, parameters.getTopic());
        const auto grant = sessions().lease_publisher(id(), wanted, parameters.getExclusive(),
                                                      to_string(parameters.getName()));
        KJ_ON_SCOPE_FAILURE(sessions().release(id(), grant.lease));
        results.setEntry(grant.entry.entry);
        results.setPublisher(grant.entry.id);
        results.setLastEventId(grant.entry.last_event);
        results.setLease(grant.lease);
        lease = grant.lease;
        // It goes on behind its last event, which must not be lost any more with this daemon.
        auto& timer = client_->context.timer;
        if (grant.entry.last_event != 0)
            settled = written(timer, wanted, wanted->head_hint(), timer.now() + longest_wait);
        topic = wanted;
        client_->context.keep_house();
    });
    if (!topic) return answered;
    return settled.then([this, context, topic, lease]() mutable {
        KJ_ON_SCOPE_FAILURE(sessions().release(id(), lease));
        write_access(client_, topic, Role::publisher, context.getResults().initAccess());
    });
}

kj::Promise<void> SessionServer::open_subscriber(OpenSubscriberContext& context) {
    return answer(context, "openSubscriber", [&](auto parameters, auto results) {
        const auto topic = openable(Right::subscribe, parameters.getTopic());
        registry::Sessions::Wish wish{to_string(parameters.getName()), parameters.getSteal()};
        if (parameters.hasGroup()) wish.group = read_options(parameters.getGroup());
        if (wish.group && (wish.name.empty() || wish.steal))
            throw Error(Errc::bad_argument, "a group has a name, and nobody steals it");
        if (!wish.name.empty()) {
            require_file(*client_);
            require_hold(*topic, wish.name);
            if (wish.group) topics().find_room_for_group(*topic, wish.name, client_->peer.uid);
        }
        auto grant = sessions().lease_subscriber(id(), topic, wish);
        KJ_ON_SCOPE_FAILURE(sessions().release(id(), grant.lease));
        std::shared_ptr<const void> page;
        if (!wish.name.empty()) page = write_durable(client_, grant.durable, results);
        results.setEntry(grant.entry.entry);
        results.setToken(grant.entry.token);
        results.setLease(grant.lease);
        write_access(client_, topic, Role::subscriber, results.initAccess(), std::move(page));
    });
}

kj::Promise<void> SessionServer::release(ReleaseContext context) {
    sessions().release(id(), context.getParams().getLease());
    client_->context.keep_house();
    return kj::READY_NOW;
}

kj::Promise<void> SessionServer::keep(KeepContext context) {
    std::set<registry::Sessions::LeaseId> leases;
    for (const auto lease : context.getParams().getLeases()) leases.insert(lease);
    const auto unknown = sessions().keep(id(), leases);
    auto list = context.getResults().initUnknown(static_cast<unsigned>(unknown.size()));
    for (unsigned i = 0; i < unknown.size(); ++i) list.set(i, unknown[i]);
    return kj::READY_NOW;
}

kj::Promise<void> SessionServer::openSegment(OpenSegmentContext context) {
    return answer(context, "openSegment", [&](auto parameters, auto results) {
        require_room(*client_);
        require_file(*client_);
        const auto topic = sessions().topic_of(id(), parameters.getLease());
        const auto& disk = topic->disk();
        if (!disk)
            throw Error(Errc::unsupported,
                        "topic " + topic->name() + " is in memory: it has no files");
        const std::uint64_t from = parameters.getFrom();
        auto found = parameters.getByTime() ? spiller::open_segment_of_time(*disk, from)
                                            : spiller::open_segment(*disk, from);
        if (!found) return;
        auto segment = results.initSegment();
        segment.setFirst(found->first);
        segment.setEnd(found->end);
        segment.setBytes(found->bytes);
        segment.setDurable(found->durable);
        if (!found->file) return;
        const auto file = std::make_shared<const ClientFile>(*client_, std::move(found->file));
        segment.setFile(kj::heap<FileServer>(client_, file));
        client_->in_flight.push_back(file);
    });
}

void SessionServer::require(Right right, const std::string& topic) const {
    const auto& policy = client_->context.policy;
    if (!policy.may(right, client_->subject(), topic))
        throw Error(Errc::permission, policy.why_not(right, client_->subject(), topic));
}

void SessionServer::require_administer(const registry::Topic& topic) const {
    const auto& policy = client_->context.policy;
    constexpr auto right = Right::administer;
    if (!policy.may(right, client_->subject(), topic.name(), topic.creator()))
        throw Error(Errc::permission,
                    policy.why_not(right, client_->subject(), topic.name(), topic.creator()));
}

std::shared_ptr<registry::Topic> SessionServer::openable(Right right,
                                                         capnp::Text::Reader name) const {
    require(right, to_string(name));
    require_room(*client_);
    return topics().find(to_string(name));
}

void SessionServer::note(registry::Topic& topic, const Incident& what) const {
    topic.incidents().note(what, sessions().holder(id()).value_or(registry::Holder()));
}

void SessionServer::note(const system::Message& message, system::About about,
                         const std::string& what) const {
    const auto peer = client_->about();
    about.pid = peer.pid;
    about.uid = peer.uid;
    client_->context.peer_log.log(
        message, about,
        fmt::format("session {}: {} (pid {}) {}", id(), client_->command, client_->peer.pid, what));
}

} // namespace shmbus::control
