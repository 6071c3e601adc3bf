#include "daemon/control/leases.hpp"

namespace shmbus::control {

void write_durable(const std::shared_ptr<ClientState>& client,
                   registry::Subscriptions::Grant& grant,
                   protocol::Session::OpenSubscriberResults::Builder to) {
    const auto page = std::make_shared<const base::Fd>(std::move(grant.page));
    to.setCursor(kj::heap<FileServer>(client, page));
    to.setAcknowledged(grant.cursor.value_or(0));
    to.setBegun(grant.cursor.has_value());
    client->in_flight.push_back(page);
    client->context.keep_house();
}

void write_access(const std::shared_ptr<ClientState>& client,
                  const std::shared_ptr<registry::Topic>& topic, Role role,
                  protocol::TopicAccess::Builder to) {
    const bool publishes = role == Role::publisher;
    const auto& ring = topic->shared().ring();
    const auto& readers = topic->shared().readers();
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

} // namespace shmbus::control
