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

/// An entry. Dropping it is no release: the client may still be writing.
template <class Interface> class LeaseServer final : public Interface::Server {
  public:
    LeaseServer(std::shared_ptr<ClientState> client, registry::Sessions::LeaseId lease)
        : client_(std::move(client)), counted_(client_, &ClientState::capabilities), lease_(lease) {
    }
    kj::Promise<void> release(typename Interface::Server::ReleaseContext) override {
        client_->context.sessions.release(client_->session.value(), lease_);
        return kj::READY_NOW;
    }

  private:
    std::shared_ptr<ClientState> client_;
    Counted counted_;
    registry::Sessions::LeaseId lease_;
};

/// Publishers get the ring for writing, subscribers the readers object.
enum class Role { publisher, subscriber };

void write_access(const std::shared_ptr<ClientState>& client,
                  const std::shared_ptr<registry::Topic>& topic, Role role,
                  protocol::TopicAccess::Builder to);

} // namespace shmbus::control
