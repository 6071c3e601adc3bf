#include "daemon/control/leases.hpp"

#include "daemon/control/kept.hpp"
#include "daemon/spiller/segment_file.hpp"

namespace shmbus::control {

void write_durable(const std::shared_ptr<ClientState>& client,
                   registry::Subscriptions::Grant& grant,
                   protocol::Session::OpenSubscriberResults::Builder to) {
    const auto page = std::make_shared<const base::Fd>(std::move(grant.page));
    to.setCursor(kj::heap<FileServer>(client, page));
    to.setAcknowledged(grant.cursor.value_or(0));
    to.setBegun(grant.cursor.has_value());
    client->in_flight.push_back(page);
    client->context.keep_cursors();
}

kj::Promise<void> SubscriberLeaseServer::persist(PersistContext context) {
    return answer_when_kept(context, "persist", [&](auto, auto done) {
        client()->context.sessions.persist(client()->session.value(), lease(), std::move(done));
    });
}

void write_access(const std::shared_ptr<ClientState>& client,
                  const std::shared_ptr<registry::Topic>& topic, Role role,
                  protocol::TopicAccess::Builder to) {
    const bool publishes = role == Role::publisher;
    const auto& ring = topic->ring_memory();
    const auto& readers = topic->readers_memory();
    to.setUuid(kj::arrayPtr(topic->uuid().data(), topic->uuid().size()));
    const auto& parameters = topic->parameters();
    to.setParameters(
        kj::arrayPtr(reinterpret_cast<const kj::byte*>(&parameters), sizeof parameters));
    to.setRing(kj::heap<MemoryServer>(client, topic, publishes ? ring.writable : ring.read_only));
    to.setReaders(
        kj::heap<MemoryServer>(client, topic, publishes ? readers.read_only : readers.writable));
    to.setTrusted(client->context.policy.has_to_itself(client->subject()));
    client->in_flight.push_back(topic);
}

void require_room(const ClientState& client) {
    if (client.capabilities >= ClientState::max_capabilities ||
        client.in_flight.size() >= ClientState::max_in_flight)
        throw Error(Errc::limit, "this session holds too many publishers and subscribers: open "
                                 "another connection for more");
}

kj::Promise<void> SubscriberLeaseServer::openSegment(OpenSegmentContext context) {
    return answer(context, "openSegment", [&](auto parameters, auto results) {
        require_room(*client());
        const auto& disk = topic_->disk();
        if (!disk)
            throw Error(Errc::unsupported,
                        "topic " + topic_->name() + " is in memory: it has no files");
        const std::uint64_t from = parameters.getFrom();
        auto found = parameters.getByTime() ? spiller::open_segment_of_time(*disk, from)
                                            : spiller::open_segment(*disk, from);
        if (!found) return;
        auto segment = results.initSegment();
        segment.setFirst(found->first);
        segment.setEnd(found->end);
        segment.setBytes(found->bytes);
        segment.setDurable(found->durable);
        const auto file = std::make_shared<const base::Fd>(std::move(found->file));
        segment.setFile(kj::heap<FileServer>(client(), file));
        client()->in_flight.push_back(file);
    });
}

} // namespace shmbus::control
