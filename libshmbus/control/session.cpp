// The requests of control.capnp, one method each: fill, wait, and check what came back before
// anything believes it.
#include "control/session.hpp"

#include "control/caller.hpp"

#include <algorithm>

namespace shmbus::control {

namespace {

using std::chrono::nanoseconds;
using Time = std::chrono::sys_time<nanoseconds>;
using namespace std::chrono_literals;

std::string to_text(capnp::Data::Reader uuid) {
    if (uuid.size() != sizeof(layout::Uuid))
        throw Error(Errc::damaged, "the daemon sent a topic id of a wrong size");
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < uuid.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += digits[uuid[i] >> 4U];
        text += digits[uuid[i] & 0xfU];
    }
    return text;
}

PeerInfo read_peer(protocol::Peer::Reader peer) {
    return {.pid = peer.getPid(),
            .uid = peer.getUid(),
            .command = to_string(peer.getCommand()),
            .cursor = peer.getCursor(),
            .lossy = peer.getLossy(),
            .waits_for_pid = peer.getWaitsForPid()};
}

std::vector<PeerInfo> read_peers(capnp::List<protocol::Peer>::Reader from) {
    std::vector<PeerInfo> peers;
    for (const auto peer : from) peers.push_back(read_peer(peer));
    return peers;
}

GroupInfo read_group(protocol::GroupInfo::Reader from) {
    GroupInfo group;
    group.options = read_options(from.getOptions());
    for (const auto member : from.getMembers())
        group.members.push_back({.peer = read_peer(member.getPeer()),
                                 .slots = member.getSlots(),
                                 .in_flight = member.getInFlight(),
                                 .position = member.getPosition(),
                                 .stalled = member.getStalled()});
    group.in_flight = from.getInFlight();
    group.waiting = from.getWaiting();
    group.redelivered = from.getRedelivered();
    group.set_aside = from.getSetAside();
    return group;
}

SubscriptionInfo read_subscription(protocol::SubscriptionInfo::Reader from) {
    SubscriptionInfo info;
    info.name = to_string(from.getName());
    if (from.getBegun()) info.cursor = from.getCursor();
    info.paused = from.getPaused();
    info.created = Time(std::chrono::nanoseconds(from.getCreatedNs()));
    info.creator_uid = from.getCreatorUid();
    if (from.hasHolder()) info.holder = read_peer(from.getHolder());
    if (from.hasGroup()) info.group = read_group(from.getGroup());
    return info;
}

Incident read_incident(protocol::Incident::Reader from) {
    return {.number = from.getNumber(),
            .time = Time(std::chrono::nanoseconds(from.getTimeNs())),
            .kind = static_cast<IncidentKind>(from.getKind()),
            .pid = from.getPid(),
            .uid = from.getUid(),
            .command = to_string(from.getCommand()),
            .unit = to_string(from.getUnit()),
            .name = to_string(from.getName()),
            .first = from.getFirst(),
            .last = from.getLast()};
}

TopicInfo read_info(protocol::TopicInfo::Reader from) {
    return {.name = to_string(from.getName()),
            .uuid = to_text(from.getUuid()),
            .options = read_options(from.getOptions()),
            .first = from.getFirst(),
            .head = from.getHead(),
            .publisher_count = from.getPublisherCount(),
            .subscriber_count = from.getSubscriberCount(),
            .publishers = read_peers(from.getPublishers()),
            .subscribers = read_peers(from.getSubscribers()),
            .memory_bytes = from.getMemoryBytes(),
            .creator_uid = from.getCreatorUid(),
            .draining = from.getDraining(),
            .exclusive = from.getExclusive(),
            .written = from.getWritten(),
            .durable = from.getDurable(),
            .trouble = to_string(from.getTrouble()),
            .directory = to_string(from.getDirectory())};
}

std::string of_topic(const char* verb, std::string_view topic) {
    return std::string(verb) + " topic " + std::string(topic);
}

} // namespace

struct Session::Impl {
    std::shared_ptr<Caller> caller;
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

std::shared_ptr<Session> Session::connect(const std::string& socket, nanoseconds request_timeout) {
    auto caller = Caller::make(socket, request_timeout);
    caller->connect();
    return std::shared_ptr<Session>(new Session(std::make_unique<Impl>(Impl{std::move(caller)})));
}

const std::string& Session::socket() const noexcept { return impl_->caller->socket; }

Lease Session::open_publisher(std::string_view topic, bool exclusive, std::string_view name,
                              const Limit& limit) {
    const std::string wanted(topic);
    const std::string own_name(name);
    auto lease = impl_->caller->open(
        of_topic("opening a publisher of", topic), limit.value_or(impl_->caller->timeout),
        {.topic = wanted, .exclusive = exclusive, .name = own_name},
        [&](protocol::Session::Client& session) {
            auto request = session.openPublisherRequest();
            request.setTopic(to_kj(wanted));
            request.setExclusive(exclusive);
            if (!own_name.empty()) request.setName(to_kj(own_name));
            return request.send();
        },
        [](auto& answer, Lease& to) {
            to.entry = answer.getEntry();
            to.publisher = answer.getPublisher();
            to.last_event_id = answer.getLastEventId();
            if (to.publisher == 0) throw Error(Errc::damaged, "the daemon sent publisher id 0");
        });
    lease.topic = topic;
    return lease;
}

template <class Fill>
Lease Session::open_subscription(std::string_view topic, std::string_view subscription, Fill fill) {
    const std::string name(topic);
    const std::string wanted(subscription);
    auto lease = impl_->caller->open(
        of_topic("opening a subscriber of", topic), impl_->caller->timeout,
        {.topic = name, .name = wanted},
        [&](protocol::Session::Client& session) {
            auto request = session.openSubscriberRequest();
            request.setTopic(to_kj(name));
            if (!wanted.empty()) request.setName(to_kj(wanted));
            fill(request);
            return request.send();
        },
        [](auto& answer, Lease& to) {
            to.entry = answer.getEntry();
            to.token = answer.getToken();
            if (to.token == 0 || to.token >> 56U != 0)
                throw Error(Errc::damaged, "the daemon sent an impossible attach token");
            if (answer.getBegun()) to.acknowledged = answer.getAcknowledged();
        });
    lease.topic = topic;
    lease.subscription = subscription;
    if (!wanted.empty() && !lease.cursor_page)
        throw Error(Errc::unsupported, "this daemon knows no durable subscriptions");
    return lease;
}

Lease Session::open_subscriber(std::string_view topic, std::string_view subscription, bool steal) {
    return open_subscription(topic, subscription, [&](auto& request) { request.setSteal(steal); });
}

Lease Session::open_member(std::string_view topic, std::string_view group,
                           const GroupOptions& options) {
    auto lease = open_subscription(
        topic, group, [&](auto& request) { write_options(options, request.initGroup()); });
    lease.is_member = true;
    return lease;
}

bool Session::create_topic(std::string_view name, const TopicOptions& options, bool if_missing,
                           const Limit& limit) {
    bool created = false;
    const std::string text(name);
    impl_->caller->call(
        of_topic("creating", name), limit.value_or(impl_->caller->timeout),
        [&](protocol::Session::Client& session) {
            auto request = session.createTopicRequest();
            request.setName(to_kj(text));
            write_options(options, request.initOptions());
            request.setIfMissing(if_missing);
            return request.send();
        },
        [&](auto& answer) { created = answer.getCreated(); });
    return created;
}

TopicInfo Session::describe_topic(std::string_view name, const Limit& limit) {
    TopicInfo info;
    const std::string text(name);
    impl_->caller->call(
        of_topic("describing", name), limit.value_or(impl_->caller->timeout),
        [&](protocol::Session::Client& session) {
            auto request = session.describeTopicRequest();
            request.setName(to_kj(text));
            return request.send();
        },
        [&](auto& answer) { info = read_info(answer.getTopic()); });
    return info;
}

std::vector<TopicInfo> Session::list_topics() {
    std::vector<TopicInfo> topics;
    for (bool more = true; more;) {
        const std::string after = topics.empty() ? "" : topics.back().name;
        impl_->caller->call(
            "listing topics", impl_->caller->timeout,
            [&](protocol::Session::Client& session) {
                auto request = session.listTopicsRequest();
                request.setAfter(to_kj(after));
                request.setLimit(max_topics_per_answer);
                return request.send();
            },
            [&](auto& answer) {
                const std::size_t before = topics.size();
                for (const auto topic : answer.getTopics()) {
                    topics.push_back(read_info(topic));
                    if (topics.size() > 1 && topics[topics.size() - 2].name >= topics.back().name)
                        throw Error(Errc::damaged, "the daemon sent topics out of order");
                }
                more = answer.getMore();
                if (more && topics.size() == before)
                    throw Error(Errc::damaged, "the daemon sent an empty list of more topics");
            });
    }
    return topics;
}

void Session::remove_topic(std::string_view name, bool force) {
    const std::string text(name);
    impl_->caller->call(
        of_topic("removing", name), impl_->caller->timeout,
        [&](protocol::Session::Client& session) {
            auto request = session.removeTopicRequest();
            request.setName(to_kj(text));
            request.setForce(force);
            return request.send();
        },
        [](auto&) {});
}

bool Session::drain_topic(std::string_view name, bool undo, Deadline deadline) {
    constexpr auto longest = std::chrono::milliseconds(max_drain_wait_ms);
    const std::string text(name);
    for (;;) {
        const bool last = deadline.passed();
        const auto wait = last ? 0ms
                          : deadline.is_never()
                              ? longest
                              : std::min(longest, std::chrono::ceil<std::chrono::milliseconds>(
                                                      deadline.when() - Deadline::Clock::now()));
        bool drained = false;
        impl_->caller->call(
            of_topic(undo ? "reopening" : "draining", name), wait + impl_->caller->timeout,
            [&](protocol::Session::Client& session) {
                auto request = session.drainTopicRequest();
                request.setName(to_kj(text));
                request.setUndo(undo);
                request.setTimeoutMs(static_cast<std::uint32_t>(std::max(wait, 0ms).count()));
                return request.send();
            },
            [&](auto& answer) { drained = answer.getDrained(); });
        if (drained || undo || last || deadline.passed()) return drained;
    }
}

std::vector<SubscriptionInfo> Session::list_subscriptions(std::string_view topic) {
    std::vector<SubscriptionInfo> all;
    const std::string name(topic);
    for (bool more = true; more;) {
        const std::string after = all.empty() ? "" : all.back().name;
        impl_->caller->call(
            of_topic("listing the subscriptions of", topic), impl_->caller->timeout,
            [&](protocol::Session::Client& session) {
                auto request = session.listSubscriptionsRequest();
                request.setTopic(to_kj(name));
                request.setAfter(to_kj(after));
                request.setLimit(max_topics_per_answer);
                return request.send();
            },
            [&](auto& answer) {
                const std::size_t before = all.size();
                for (const auto one : answer.getSubscriptions())
                    all.push_back(read_subscription(one));
                more = answer.getMore();
                if (more && (all.size() == before || all.back().name <= after))
                    throw Error(Errc::damaged, "the daemon sent subscriptions out of order");
            });
    }
    return all;
}

std::vector<Incident> Session::list_incidents(std::string_view topic) {
    std::vector<Incident> all;
    const std::string name(topic);
    for (bool more = true; more;) {
        const std::uint64_t after = all.empty() ? 0 : all.back().number;
        impl_->caller->call(
            of_topic("listing the incidents of", topic), impl_->caller->timeout,
            [&](protocol::Session::Client& session) {
                auto request = session.listIncidentsRequest();
                request.setTopic(to_kj(name));
                request.setAfter(after);
                request.setLimit(max_topics_per_answer);
                return request.send();
            },
            [&](auto& answer) {
                for (const auto one : answer.getIncidents()) {
                    if (one.getNumber() <= (all.empty() ? 0 : all.back().number))
                        throw Error(Errc::damaged, "the daemon sent incidents out of order");
                    all.push_back(read_incident(one));
                }
                more = answer.getMore() && !all.empty() && all.back().number > after;
            });
    }
    return all;
}

template <class Fill>
void Session::change(const char* verb, std::string_view topic, std::string_view name, Fill fill) {
    const std::string topic_name(topic);
    const std::string own(name);
    impl_->caller->call(
        std::string(verb) + " subscription " + own, impl_->caller->timeout,
        [&](protocol::Session::Client& session) {
            auto request = fill(session);
            request.setTopic(to_kj(topic_name));
            request.setName(to_kj(own));
            return request.send();
        },
        [](auto&) {});
}

void Session::create_subscription(std::string_view topic, std::string_view name,
                                  const GroupOptions* group) {
    change("creating", topic, name, [&](auto& session) {
        auto request = session.createSubscriptionRequest();
        if (group != nullptr) write_options(*group, request.initGroup());
        return request;
    });
}

void Session::seek_subscription(std::string_view topic, std::string_view name, Sequence cursor) {
    change("moving", topic, name, [&](auto& session) {
        auto request = session.seekSubscriptionRequest();
        request.setCursor(cursor);
        return request;
    });
}

void Session::pause_subscription(std::string_view topic, std::string_view name, bool paused) {
    change("pausing", topic, name, [&](auto& session) {
        auto request = session.pauseSubscriptionRequest();
        request.setPaused(paused);
        return request;
    });
}

void Session::remove_subscription(std::string_view topic, std::string_view name, bool force) {
    change("removing", topic, name, [&](auto& session) {
        auto request = session.removeSubscriptionRequest();
        request.setForce(force);
        return request;
    });
}

} // namespace shmbus::control
