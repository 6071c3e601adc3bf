// The descriptors that a client is given with its leases.
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
