#include "daemon/control/answers.hpp"

namespace shmbus::control {

void write_holder(const registry::Holder& holder, protocol::Peer::Builder to) {
    to.setPid(holder.pid);
    to.setUid(holder.uid);
    to.setCommand(to_kj(holder.command));
}

void write_incident(const Incident& incident, protocol::Incident::Builder to) {
    to.setNumber(incident.number);
    to.setTimeNs(static_cast<std::uint64_t>(incident.time.time_since_epoch().count()));
    to.setKind(static_cast<std::uint16_t>(incident.kind));
    to.setPid(incident.pid);
    to.setUid(incident.uid);
    to.setCommand(to_kj(incident.command));
    to.setUnit(to_kj(incident.unit));
    to.setName(to_kj(incident.name));
    to.setFirst(incident.first);
    to.setLast(incident.last);
}

void write_refusal(const Error& error, protocol::Refusal::Builder to) {
    to.setCode(static_cast<std::uint16_t>(error.code()));
    to.setMessage(error.what());
}

namespace {

void write_asleep(const registry::Registry::Entry& entry, protocol::TopicInfo::Builder to) {
    const auto& record = entry.record;
    to.setUuid(kj::arrayPtr(record.uuid.data(), record.uuid.size()));
    write_options(record.options, to.initOptions());
    to.setFirst(entry.extent.first);
    to.setHead(entry.extent.head);
    to.setWritten(entry.extent.written);
    to.setDurable(entry.extent.durable);
    to.setCreatorUid(record.creator);
}

void write_awake(const registry::Topic& topic, protocol::TopicInfo::Builder to) {
    to.setUuid(kj::arrayPtr(topic.uuid().data(), topic.uuid().size()));
    write_options(topic.options(), to.initOptions());
    to.setFirst(topic.first_hint());
    to.setHead(topic.head_hint());
    to.setMemoryBytes(topic.need().total);
    to.setCreatorUid(topic.creator());
    to.setExclusive(topic.is_exclusive());
    if (topic.disk()) {
        const auto kept = topic.disk()->kept();
        to.setWritten(kept.written);
        to.setDurable(kept.durable);
        to.setTrouble(to_kj(kept.trouble));
    }
    to.setDraining(topic.state() == layout::RingState::draining);
    to.setPublisherCount(static_cast<std::uint32_t>(topic.publisher_count()));
    to.setSubscriberCount(static_cast<std::uint32_t>(topic.subscriber_count()));
}

} // namespace

void write_topic(const registry::Registry::Entry& entry, protocol::TopicInfo::Builder to) {
    to.setName(to_kj(entry.name));
    if (entry.awake)
        write_awake(*entry.awake, to);
    else
        write_asleep(entry, to);
}

void write_details(const registry::Registry::Entry& entry, protocol::TopicInfo::Builder to) {
    if (!entry.awake) {
        to.setDirectory(to_kj(entry.directory));
        return;
    }
    const auto& topic = *entry.awake;
    if (topic.disk()) to.setDirectory(to_kj(topic.disk()->path()));
    const auto publishers = topic.publishers();
    auto list = to.initPublishers(static_cast<unsigned>(publishers.size()));
    for (unsigned i = 0; i < publishers.size(); ++i) write_holder(publishers[i], list[i]);
    const auto subscribers = topic.subscribers();
    list = to.initSubscribers(static_cast<unsigned>(subscribers.size()));
    for (unsigned i = 0; i < subscribers.size(); ++i) {
        write_holder(subscribers[i].holder, list[i]);
        list[i].setCursor(subscribers[i].cursor);
        list[i].setLossy(!subscribers[i].gates);
        list[i].setWaitsForPid(subscribers[i].waits_for_pid);
    }
}

} // namespace shmbus::control
