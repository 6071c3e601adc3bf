// The requests of one client, as control.capnp tells them.
//
// Each is checked, done and answered in one turn of the event loop, but for those that wait: drainTopic, opening
// a topic that clients may hand back, opening a named publisher, and what is answered when it is on disk. A
// refusal is an Error, thrown by whoever finds the reason, and becomes a value of the answer here.
#pragma once

#include "control/protocol.hpp"
#include "daemon/control/client_state.hpp"

namespace shmbus::control {

/// The version of this daemon, for logs.
extern const char* const server_version;

class BusServer final : public protocol::Bus::Server {
  public:
    explicit BusServer(std::shared_ptr<ClientState> client) : client_(std::move(client)) {}
    kj::Promise<void> hello(HelloContext context) override;

  private:
    std::shared_ptr<ClientState> client_;
};

class SessionServer final : public protocol::Session::Server {
  public:
    explicit SessionServer(std::shared_ptr<ClientState> client) : client_(std::move(client)) {}
    kj::Promise<void> createTopic(CreateTopicContext context) override;
    kj::Promise<void> listTopics(ListTopicsContext context) override;
    kj::Promise<void> describeTopic(DescribeTopicContext context) override;
    kj::Promise<void> removeTopic(RemoveTopicContext context) override;
    kj::Promise<void> drainTopic(DrainTopicContext context) override;
    kj::Promise<void> openPublisher(OpenPublisherContext context) override;
    kj::Promise<void> openSubscriber(OpenSubscriberContext context) override;
    kj::Promise<void> listIncidents(ListIncidentsContext context) override;
    kj::Promise<void> release(ReleaseContext context) override;
    kj::Promise<void> keep(KeepContext context) override;
    kj::Promise<void> openSegment(OpenSegmentContext context) override;
    kj::Promise<void> restore(RestoreContext context) override; // in restore.cpp
    // In durable.cpp:
    kj::Promise<void> listSubscriptions(ListSubscriptionsContext context) override;
    kj::Promise<void> beginGroup(BeginGroupContext context) override;
    kj::Promise<void> createSubscription(CreateSubscriptionContext context) override;
    kj::Promise<void> seekSubscription(SeekSubscriptionContext context) override;
    kj::Promise<void> pauseSubscription(PauseSubscriptionContext context) override;
    kj::Promise<void> removeSubscription(RemoveSubscriptionContext context) override;
    kj::Promise<void> persist(PersistContext context) override;

  private:
    void require(Right right, const std::string& topic) const;
    [[nodiscard]] bool may_hand_back(const std::string& topic) const;
    [[nodiscard]] kj::Promise<void> await_adoption(const std::string& topic);
    /// Calls `work` once clients of an earlier daemon had time to hand the topic back.
    template <class Work> kj::Promise<void> when_settled(const std::string& topic, Work work);
    kj::Promise<void> open_publisher(OpenPublisherContext& context);
    kj::Promise<void> open_subscriber(OpenSubscriberContext& context);
    void require_administer(const registry::Topic& topic) const;
    void require_hold(registry::Topic& topic, const std::string& subscription) const;
    void require_change(registry::Topic& topic, const std::string& subscription) const;
    /// A topic to be opened, by somebody who may and has room for it.
    [[nodiscard]] std::shared_ptr<registry::Topic> openable(Right right,
                                                            capnp::Text::Reader name) const;
    /// That the peer has done something.
    /// As this client's doing.
    void note(registry::Topic& topic, const Incident& what) const;
    void note(const system::Message& message, system::About about, const std::string& what) const;
    [[nodiscard]] registry::Registry& topics() const noexcept { return client_->context.registry; }
    [[nodiscard]] registry::Sessions& sessions() const noexcept {
        return client_->context.sessions;
    }
    [[nodiscard]] registry::SessionId id() const { return client_->session.value(); }
    std::shared_ptr<ClientState> client_;
};

} // namespace shmbus::control
