// Who is there, and what each holds: one session for each connection that said hello.
//
// A session ends when its process is dead, and not before, unless it holds nothing: then it ends
// with its connection. Whoever ends it, everything it held is reaped first.
#pragma once

#include "base/peer.hpp"
#include "daemon/registry/limits.hpp"
#include "daemon/registry/topic.hpp"

#include <functional>
#include <map>
#include <memory>
#include <set>

namespace shmbus::registry {

using SessionId = std::uint64_t;
/// What a process that comes back shows, so that it gets its session again. Never 0.
using Ticket = std::uint64_t;

/// What ended with a session.
struct Ended {
    Holder who;
    std::size_t publishers = 0;
    std::size_t subscribers = 0;
    ring::Reaped reaped;
};

class Sessions {
  public:
    using LeaseId = std::uint64_t;

    /// Called when a session is gone, with its id.
    explicit Sessions(std::function<void(SessionId)> on_gone) : on_gone_(std::move(on_gone)) {}

    /// For those that come from now on.
    void set_limits(const Limits& limits) noexcept { limits_ = limits; }
    /// @throws Error(limit)
    SessionId open(const base::Peer& peer, const std::string& command);
    [[nodiscard]] Ticket ticket_of(SessionId session) const { return sessions_.at(session).ticket; }
    /// One that an earlier daemon had, and what it holds.
    void adopt(const Holder& who, Ticket ticket);
    void adopt(const std::shared_ptr<Topic>& topic, const Topic::Adopted& entry);
    [[nodiscard]] std::optional<Holder> holder(SessionId session) const;
    /// The name that the pidfd of its process is kept under. @pre it is there
    [[nodiscard]] std::string kept_as(SessionId session) const;
    /// One without a connection, for a process that seems to hold something; and the one there is, or 0.
    SessionId wait_for(std::uint32_t pid);
    [[nodiscard]] SessionId waiting_for(std::uint32_t pid) const noexcept;
    [[nodiscard]] LeaseId new_lease() noexcept { return ++last_lease_; }
    /// What such a session holds goes to the session of the process that it waited for.
    /// @throws Error(bad_argument) when it is not so
    LeaseId take_over(SessionId session, const std::shared_ptr<Topic>& topic, bool publishes,
                      std::uint32_t entry, std::uint64_t mark);
    /// And it held a durable subscription with it. @throws Error
    void restore_hold(SessionId session, LeaseId lease, const std::string& subscription,
                      const base::Fd& page);
    /// The session of this ticket, if it is that very process's and has no connection.
    [[nodiscard]] std::optional<SessionId> resume(const base::Peer& peer, Ticket ticket);
    [[nodiscard]] std::size_t count() const noexcept { return sessions_.size(); }
    [[nodiscard]] std::size_t count(uid_t uid) const noexcept;

    struct PublisherGrant {
        LeaseId lease;
        Topic::PublisherEntry entry;
    };
    struct SubscriberGrant {
        LeaseId lease;
        Topic::SubscriberEntry entry;
        Subscriptions::Grant durable = {}; // of a durable subscription
    };
    /// Which subscription, and whether another holder is to lose it. No name: one that ends with its holder.
    struct Wish {
        std::string name = {};
        bool steal = false;
        std::optional<GroupOptions> group = {}; // as a member of it
    };
    /// @throws Error: limit when all entries are taken, disconnected when the session is gone
    PublisherGrant lease_publisher(SessionId session, std::shared_ptr<Topic> topic,
                                   bool exclusive = false, const std::string& name = {});
    SubscriberGrant lease_subscriber(SessionId session, std::shared_ptr<Topic> topic,
                                     const Wish& wish);
    /// A member's group begins, if it has not. @throws Error(busy), Error(bad_argument)
    Sequence begin_group(SessionId session, LeaseId lease, Sequence at);
    /// Brings the cursor of a durable subscription to disk. @throws Error(busy), Error(bad_argument)
    void persist(SessionId session, LeaseId lease, store::CursorKeeper::Done done);
    /// Of a subscriber. @throws Error(bad_argument)
    [[nodiscard]] std::shared_ptr<Topic> topic_of(SessionId session, LeaseId lease);
    /// Frees the entry. A lease that is not (or no longer) the session's is ignored.
    void release(SessionId session, LeaseId lease) noexcept;
    /// Frees all but these. @returns those of them that the session does not have
    std::vector<LeaseId> keep(SessionId session, const std::set<LeaseId>& leases);

    /// The connection is gone; whether the session is too.
    bool connection_closed(SessionId session) noexcept;
    /// The same for those of an earlier daemon that hold nothing: whoever comes back gets a new one.
    void end_adopted_without_leases() noexcept;
    /// A thread that lives as long as its process has ended: its publishers do not go on, or not for long, and
    /// their claims are given up. @returns how many
    std::uint32_t thread_ended(SessionId session) noexcept;
    /// The process is dead; nothing if the session was gone already.
    std::optional<Ended> process_died(SessionId session) noexcept;

  private:
    struct Held {
        std::shared_ptr<Topic> topic;
        bool publishes;
        std::optional<std::uint32_t> entry = {}; // none while it is being leased
        std::string name = {};                   // of a durable subscription, or a named publisher
        std::uint64_t hold = 0;
    };
    struct Session {
        Holder who;
        Ticket ticket;
        bool connected = true;
        bool thread_ended = false; // the library's
        bool is_ghost = false;     // nobody said hello
        std::map<LeaseId, Held> held = {};
    };
    static std::uint32_t named_id(Topic& topic, const std::string& name);
    static void abandon(const Held& held) noexcept;
    static void note(const Held& held, const Holder& who, IncidentKind of_publisher,
                     IncidentKind of_subscriber) noexcept;
    /// Nobody was told of it.
    void take_back(SessionId session, LeaseId lease) noexcept;
    void end_subscribers(SessionId session) noexcept;
    Session& get(SessionId session);
    Held& get(SessionId session, LeaseId lease);
    template <class Grant, class Take>
    Grant lease(SessionId session, Held held, const char* role, Take take);

    std::function<void(SessionId)> on_gone_;
    Limits limits_;
    std::map<SessionId, Session> sessions_;
    SessionId last_session_ = 0;
    LeaseId last_lease_ = 0;
};

} // namespace shmbus::registry
