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

/// A file that a client is given, charged to its user for as long as the daemon has it open.
class ClientFile {
  public:
    /// Call require_file() before the file is opened.
    ClientFile(const ClientState& client, base::Fd fd);
    ~ClientFile();
    ClientFile(const ClientFile&) = delete;
    ClientFile& operator=(const ClientFile&) = delete;
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  private:
    Context& context_;
    uid_t user_;
    base::Fd fd_;
};

/// A descriptor of a file.
class FileServer final : public protocol::Memory::Server {
  public:
    FileServer(std::shared_ptr<ClientState> client, std::shared_ptr<const ClientFile> file)
        : counted_(std::move(client), &ClientState::capabilities), file_(std::move(file)) {}
    kj::Maybe<int> getFd() override { return file_->fd(); }

  private:
    Counted counted_;
    std::shared_ptr<const ClientFile> file_;
};

/// Whether its user may be given one file more. @throws Error(limit)
void require_file(const ClientState& client);
/// Whether a session may be given one capability more. @throws Error(limit)
void require_room(const ClientState& client);

/// What the holder of a durable subscription gets besides. @returns what has its descriptor
[[nodiscard]] std::shared_ptr<const void>
write_durable(const std::shared_ptr<ClientState>& client, registry::Subscriptions::Grant& grant,
              protocol::Session::OpenSubscriberResults::Builder to);

/// Publishers get the ring for writing, subscribers the readers object.
enum class Role { publisher, subscriber };

/// `besides`: what else has descriptors that go with this answer.
void write_access(const std::shared_ptr<ClientState>& client,
                  const std::shared_ptr<registry::Topic>& topic, Role role,
                  protocol::TopicAccess::Builder to, std::shared_ptr<const void> besides = {});

} // namespace shmbus::control
