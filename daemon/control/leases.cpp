#include "daemon/control/leases.hpp"

namespace shmbus::control {

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

} // namespace shmbus::control
