#include "daemon/control/leases.hpp"

#include <fmt/format.h>

namespace shmbus::control {

ClientFile::ClientFile(const ClientState& client, base::Fd fd)
    : context_(client.context), user_(client.peer.uid), fd_(std::move(fd)) {
    ++context_.files_of_user[user_];
    ++context_.files;
}

ClientFile::~ClientFile() {
    --context_.files;
    if (--context_.files_of_user[user_] == 0) context_.files_of_user.erase(user_);
}

void require_file(const ClientState& client) {
    const auto& shared = client.context;
    const auto own = shared.files_of_user.find(client.peer.uid);
    const auto count = own == shared.files_of_user.end() ? 0 : own->second;
    if (count < shared.shares.files_per_user && shared.files < shared.shares.files) return;
    throw Error(
        Errc::limit,
        fmt::format(
            "the daemon has {} files open that clients of user {} were given and have not let go "
            "of, and {} of all, as many as it may: let these read their answers, or start the "
            "daemon with a higher limit (ulimit -n, LimitNOFILE=)",
            count, client.peer.uid, shared.files));
}

std::shared_ptr<const void> write_durable(const std::shared_ptr<ClientState>& client,
                                          registry::Subscriptions::Grant& grant,
                                          protocol::Session::OpenSubscriberResults::Builder to) {
    const auto page = std::make_shared<const ClientFile>(*client, std::move(grant.page));
    to.setCursor(kj::heap<FileServer>(client, page));
    to.setAcknowledged(grant.cursor.value_or(0));
    to.setBegun(grant.cursor.has_value());
    client->context.keep_house();
    return page;
}

void write_access(const std::shared_ptr<ClientState>& client,
                  const std::shared_ptr<registry::Topic>& topic, Role role,
                  protocol::TopicAccess::Builder to, std::shared_ptr<const void> besides) {
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
    const auto subject = client->subject();
    to.setTrusted(!publishes && client->context.policy.publishes_alone(subject, topic->name()) &&
                  topic->lets_rely(subject.uid));
    client->in_flight.push_back(
        std::make_shared<std::pair<std::shared_ptr<registry::Topic>, std::shared_ptr<const void>>>(
            topic, std::move(besides)));
}

void require_room(const ClientState& client) {
    if (client.capabilities >= ClientState::max_capabilities ||
        client.in_flight.size() >= ClientState::max_in_flight)
        throw Error(Errc::limit, "this session holds too many publishers and subscribers: open "
                                 "another connection for more");
}

} // namespace shmbus::control
