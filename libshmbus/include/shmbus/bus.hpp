// The connection to a bus.
#pragma once

#include "shmbus/api.hpp"
#include "shmbus/error.hpp"
#include "shmbus/incident.hpp"
#include "shmbus/publisher.hpp"
#include "shmbus/subscription.hpp"
#include "shmbus/types.hpp"

namespace shmbus {

namespace control {
class Session;
}

/// Which bus: its socket, found in this order: `socket`; $SHMBUS_SOCKET; the scope; the system bus
/// for root and the user bus for others.
struct BusOptions {
    enum class Scope : std::uint8_t {
        automatic,
        user,   ///< $XDG_RUNTIME_DIR/shmbus.sock
        system, ///< /run/shmbus.sock
    };
    std::string socket = {};
    Scope scope = Scope::automatic;
    /// How long each request to the daemon may take; more than 0.
    std::chrono::nanoseconds request_timeout = std::chrono::seconds(5);
};

/// The socket that these options mean. @throws Error(bad_argument) when no rule gives one, naming
/// what to set
[[nodiscard]] SHMBUS_API std::string socket_path(const BusOptions& options);

/// A connection to one bus. It reconnects by itself: with the next request, or at once as long as there
/// are publishers or subscriptions, which go on meanwhile in the memory that they have mapped. The next
/// daemon gets to know them again. Where nobody keeps the descriptors of daemons (systemd, or shmbusd
/// --supervise), they are handed back to it: for that two descriptors are kept open for each, three for a
/// durable subscription, unless their numbers are beyond half of RLIMIT_NOFILE.
///
/// Every method that talks to the daemon throws Error: no_daemon, disconnected, timed_out, or what
/// the daemon refuses, with its reason. A child of fork() has to open a Bus of its own; this one says
/// so there (unsupported). Moved from, it may only be destroyed or assigned to.
/// Thread safety: all methods from any thread.
class SHMBUS_API Bus {
  public:
    /// @throws Error(bad_argument), Error(no_daemon) when nobody answers, Error(permission), Error(incompatible)
    explicit Bus(const BusOptions& options = {});
    Bus(Bus&&) noexcept;
    Bus& operator=(Bus&&) noexcept;
    ~Bus();

    /// @throws Error: no_such_topic, permission, limit, busy (an exclusive publisher; somebody has the name),
    /// bad_argument (no name), unsupported (a named one of a topic in memory)
    [[nodiscard]] Publisher publisher(std::string_view topic, const PublisherOptions& options = {});
    /// @throws Error: no_such_topic, permission, limit, bad_argument (a key beyond 255 bytes; what a group cannot
    /// have), busy (somebody holds the durable subscription), different_options (it is a group, or is none)
    [[nodiscard]] Subscription subscribe(std::string_view topic,
                                         const SubscribeOptions& options = {});

    /// @throws Error: topic_exists, bad_argument, permission, limit, unsupported (on disk, where the daemon has
    /// no state directory)
    void create_topic(std::string_view name, const TopicOptions& options = {});
    /// The same if there is none of that name; whether it made one.
    /// @throws Error: different_options, bad_argument, permission, limit, unsupported
    bool create_topic_if_missing(std::string_view name, const TopicOptions& options = {});
    /// @throws Error(no_such_topic)
    [[nodiscard]] TopicInfo topic(std::string_view name);
    /// All topics in the order of their names; without their peers, of which only the counts are set.
    [[nodiscard]] std::vector<TopicInfo> topics();
    /// What has happened to the topic beside its events, the oldest first. @throws Error(no_such_topic)
    [[nodiscard]] std::vector<Incident> incidents(std::string_view topic);
    /// @throws Error(busy) when somebody publishes or subscribes and not forced; no_such_topic,
    /// permission
    void remove_topic(std::string_view name, bool force = false);
    /// No new events from now on; waits until every subscriber that publishers wait for has
    /// acknowledged all. @returns false if the deadline passed first; the topic keeps draining.
    /// @throws Error: no_such_topic, permission
    bool drain_topic(std::string_view name, Deadline deadline);
    /// Takes events again. @throws Error: no_such_topic, permission
    void undrain_topic(std::string_view name);

    /// The topic's durable subscriptions, in the order of their names. @throws Error(no_such_topic)
    [[nodiscard]] std::vector<SubscriptionInfo> subscriptions(std::string_view topic);
    /// One that begins where its first holder starts. @throws Error: subscription_exists, no_such_topic,
    /// bad_argument, permission, limit
    void create_subscription(std::string_view topic, std::string_view name);
    /// A group, which begins where its first member starts. @throws as create_subscription(); bad_argument also
    /// for options out of range
    void create_group(std::string_view topic, std::string_view name,
                      const GroupOptions& options = {});
    /// Its next holder begins at `start`. @throws Error: busy while somebody holds it, or is a member,
    /// no_such_subscription, no_such_topic, permission, bad_argument (a sequence that is still to come)
    void seek_subscription(std::string_view topic, std::string_view name, const Start& start);
    /// Whoever holds it receives nothing until it is resumed. @throws Error: no_such_subscription,
    /// no_such_topic, permission
    void pause_subscription(std::string_view topic, std::string_view name);
    void resume_subscription(std::string_view topic, std::string_view name);
    /// @throws Error: busy while somebody holds it, or is a member, and not forced, no_such_subscription,
    /// no_such_topic, permission
    void remove_subscription(std::string_view topic, std::string_view name, bool force = false);

    [[nodiscard]] const std::string& socket() const noexcept;

  private:
    std::shared_ptr<control::Session> session_;
};

} // namespace shmbus
