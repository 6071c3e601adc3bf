// The client's session with the daemon: one connection, one thread, every request with a deadline.
//
// Cap'n Proto's RPC belongs to one thread with an event loop, so the session owns one (named
// "shmbus", all signals blocked); calls from other threads are handed to it and wait. When the
// connection breaks, it makes a new one, at once if there are leases; these stay valid as memory all the
// while.
#pragma once

#include "base/fd.hpp"
#include "layout/ring.hpp"
#include "shmbus/group.hpp"
#include "shmbus/incident.hpp"
#include "shmbus/types.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace shmbus::control {

/// A file of a topic on disk, opened for reading.
struct SegmentFile {
    Sequence first = 0;
    Sequence end = 0;        // behind its last sequence, or behind what is in it by now
    std::uint64_t bytes = 0; // with these in them
    Sequence durable = 0;    // what is missing up to here is damage
    base::Fd file;           // none, and no bytes: it cannot be read
};

/// What the daemon gave for one publisher or subscriber. The holder maps `ring` and `readers`,
/// closes them, and calls release() when it will never touch the memory again through this entry.
struct Lease {
    std::string topic;
    std::string subscription; // a durable one's name
    layout::Uuid uuid;
    layout::RingParameters parameters;
    base::Fd ring;
    base::Fd readers;
    std::uint32_t entry;         // index in the publisher table, or of the reader entry
    std::uint32_t publisher;     // publisher id; 0 for subscribers
    std::uint64_t token;         // attach token; 0 for publishers
    bool trusted;                // nobody but root and this user may publish to the topic
    std::uint64_t last_event_id; // a named publisher's
    /// Tells the daemon that the entry is free. Best effort: never throws, returns at once when the
    /// connection it came from is gone, at the latest after the request timeout. Once.
    std::function<void()> release;
    /// Subscribers of a topic on disk: the file with sequence `from`, or where a time is to be looked
    /// for; see openSegment in control.capnp. @throws Error
    std::function<std::optional<SegmentFile>(std::uint64_t from, bool by_time,
                                             std::chrono::nanoseconds limit)>
        segment;
    /// Durable subscriptions: the page that the holder notes its cursor in, where the one before came to,
    /// and how to bring what is in the page to disk. @throws Error
    base::Fd cursor_page;
    std::optional<Sequence> acknowledged;
    std::function<void(std::chrono::nanoseconds limit)> persist;
    /// Members of groups, whose memory is in `cursor_page`: begins a group that has not begun, with this event.
    /// @returns up to where the group has come by now. @throws Error
    bool is_member = false;
    std::function<Sequence(Sequence at)> begin;
};

class Session {
  public:
    /// Connects and says hello. @throws Error: no_daemon (the message says how to start one),
    /// permission, incompatible, timed_out
    static std::shared_ptr<Session> connect(const std::string& socket,
                                            std::chrono::nanoseconds request_timeout);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// How long a request may take; nothing: as long as connect() was told.
    using Limit = std::optional<std::chrono::nanoseconds>;

    /// With a name: the publisher of that name.
    [[nodiscard]] Lease open_publisher(std::string_view topic, bool exclusive = false,
                                       std::string_view name = {}, const Limit& limit = {});
    /// With a name: of the durable subscription of that name.
    [[nodiscard]] Lease open_subscriber(std::string_view topic, std::string_view subscription = {},
                                        bool steal = false);
    [[nodiscard]] Lease open_member(std::string_view topic, std::string_view group,
                                    const GroupOptions& options);
    [[nodiscard]] std::vector<SubscriptionInfo> list_subscriptions(std::string_view topic);
    [[nodiscard]] std::vector<Incident> list_incidents(std::string_view topic);
    void create_subscription(std::string_view topic, std::string_view name,
                             const GroupOptions* group = nullptr);
    void seek_subscription(std::string_view topic, std::string_view name, Sequence cursor);
    void pause_subscription(std::string_view topic, std::string_view name, bool paused);
    void remove_subscription(std::string_view topic, std::string_view name, bool force);
    /// @returns whether one was made
    bool create_topic(std::string_view name, const TopicOptions& options, bool if_missing,
                      const Limit& limit = {});
    [[nodiscard]] TopicInfo describe_topic(std::string_view name, const Limit& limit = {});
    [[nodiscard]] std::vector<TopicInfo> list_topics();
    void remove_topic(std::string_view name, bool force);
    bool drain_topic(std::string_view name, bool undo, Deadline deadline);
    [[nodiscard]] const std::string& socket() const noexcept;

  private:
    template <class Fill>
    Lease open_subscription(std::string_view topic, std::string_view subscription, Fill fill);
    template <class Fill>
    void change(const char* verb, std::string_view topic, std::string_view name, Fill fill);
    struct Impl;
    explicit Session(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace shmbus::control
