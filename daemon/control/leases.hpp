// The capabilities that stand for what a client was given.
#pragma once

#include "control/protocol.hpp"
#include "daemon/control/client_state.hpp"

namespace shmbus::control {

/// A descriptor of a topic's memory. Keeps the topic, and so the descriptor, while it lives.
class MemoryServer final : public protocol::Memory::Server {
  public:
    MemoryServer(std::shared_ptr<ClientState> client, std::shared_ptr<registry::Topic> topic,
                 const base::Fd& fd)
        : counted_(std::move(client), &ClientState::capabilities), topic_(std::move(topic)),
          fd_(fd.get()) {}
    kj::Maybe<int> getFd() override { return fd_; }

  private:
    Counted counted_;
    std::shared_ptr<registry::Topic> topic_;
    int fd_;
};

/// A descriptor of a file.
class FileServer final : public protocol::Memory::Server {
  public:
    FileServer(std::shared_ptr<ClientState> client, std::shared_ptr<const base::Fd> fd)
        : counted_(std::move(client), &ClientState::capabilities), fd_(std::move(fd)) {}
    kj::Maybe<int> getFd() override { return fd_->get(); }

  private:
    Counted counted_;
    std::shared_ptr<const base::Fd> fd_;
};

/// An entry. Dropping it is no release: the client may still be writing.
template <class Interface> class LeaseServer : public Interface::Server {
  public:
    LeaseServer(std::shared_ptr<ClientState> client, registry::Sessions::LeaseId lease)
        : client_(std::move(client)), counted_(client_, &ClientState::capabilities), lease_(lease) {
    }
    kj::Promise<void> release(typename Interface::Server::ReleaseContext) override {
        client_->context.sessions.release(client_->session.value(), lease_);
        return kj::READY_NOW;
    }

  protected:
    [[nodiscard]] const std::shared_ptr<ClientState>& client() const noexcept { return client_; }
    [[nodiscard]] registry::Sessions::LeaseId lease() const noexcept { return lease_; }

  private:
    std::shared_ptr<ClientState> client_;
    Counted counted_;
    registry::Sessions::LeaseId lease_;
};

using PublisherLeaseServer = LeaseServer<protocol::PublisherLease>;

class SubscriberLeaseServer final : public LeaseServer<protocol::SubscriberLease> {
  public:
    SubscriberLeaseServer(std::shared_ptr<ClientState> client, registry::Sessions::LeaseId lease,
                          std::shared_ptr<registry::Topic> topic)
        : LeaseServer(std::move(client), lease), topic_(std::move(topic)) {}
    kj::Promise<void> openSegment(OpenSegmentContext context) override;
    kj::Promise<void> persist(PersistContext context) override;

  private:
    std::shared_ptr<registry::Topic> topic_;
};

/// Whether a session may be given one capability more. @throws Error(limit)
void require_room(const ClientState& client);

/// What the holder of a durable subscription gets beside.
void write_durable(const std::shared_ptr<ClientState>& client,
                   registry::Subscriptions::Grant& grant,
                   protocol::Session::OpenSubscriberResults::Builder to);

/// Publishers get the ring for writing, subscribers the readers object.
enum class Role { publisher, subscriber };

void write_access(const std::shared_ptr<ClientState>& client,
                  const std::shared_ptr<registry::Topic>& topic, Role role,
                  protocol::TopicAccess::Builder to);

} // namespace shmbus::control
