// Groups: several processes share the work of one durable subscription.
//
// Each event goes to one member. Work is divided by key: an event belongs to one of 1,024 key slots, a slot to
// one member at a time, and of a slot one event is in somebody's hands at a time. So the events of a key are
// handled in order, whoever comes and goes, with no partitions to choose. A slot goes to another member only when
// nothing of it is in hand, or its member is dead, gone, or past ack_wait.
#pragma once

#include "shmbus/types.hpp"

namespace shmbus {

/// Of each group; Event::slot() is less than this.
inline constexpr std::uint32_t key_slots = 1024;

/// Behind a topic's name it makes that of the topic where groups set events aside; see shmbus/dead_letter.hpp.
inline constexpr std::string_view dead_letter_suffix = ".dlq";

/// Which events wait for one that was handed out and is not done with.
enum class Order : std::uint8_t {
    per_key = 0, ///< those of the same key slot, so of the same key; without a key they are spread
    none = 1,    ///< keys do not count: all are spread, and one in 1,024 waits
};

/// What is fixed when a group is made. What is out of range is refused: Error(bad_argument).
struct GroupOptions {
    static constexpr std::size_t max_back_off = 8; ///< pauses that back_off has at most
    /// An event that is neither acknowledged nor touched for so long counts as failed: 100 ms to 24 h.
    std::chrono::milliseconds ack_wait = std::chrono::seconds(30);
    /// How often an event is handed out before it is set aside as a dead letter: 1 to 4,000; 0: without end.
    std::uint32_t max_deliver = 5;
    /// How many events one member has in hand at a time: 1 to 1,024.
    std::uint32_t max_in_flight = key_slots;
    Order order = Order::per_key;
    /// How long to wait after the first, the second … failure or time-out, each 0 to 7 days; the last one counts
    /// for all that follow. Empty: an event comes again at once, as it does when its member has died or left.
    std::vector<std::chrono::milliseconds> back_off = {};
    bool operator==(const GroupOptions&) const = default;
};

/// What became of acknowledging an event, or of what else is said of it.
enum class Acknowledged : std::uint8_t {
    done = 0,
    /// It is not in this member's hands: it was acknowledged before, was never received, or ack_wait has passed
    /// and it has gone, or is about to go, to a member again.
    not_held = 1,
    /// reject(): the dead letter could not be published, or the event's payload has been reused (Released::revoked);
    /// it comes again.
    not_set_aside = 2,
};

[[nodiscard]] SHMBUS_API const char* name_of(Order order) noexcept;
[[nodiscard]] SHMBUS_API const char* name_of(Acknowledged acknowledged) noexcept;

/// One member of a group, as it was when the daemon was asked.
struct MemberInfo {
    PeerInfo peer;               ///< its process
    std::uint32_t slots = 0;     ///< key slots that are its own just now
    std::uint32_t in_flight = 0; ///< events in its hands
    Sequence position = 0;       ///< what it looks at next
    /// It has not received for ack_wait, though there was something to look at: others have its slots, but those
    /// of which it has an event in hand.
    bool stalled = false;
};

/// What a group has beside other durable subscriptions, as it was when the daemon was asked.
struct GroupInfo {
    GroupOptions options;            ///< it was made with
    std::vector<MemberInfo> members; ///< in the order in which they joined
    std::uint32_t in_flight = 0;     ///< events in somebody's hands
    std::uint32_t waiting = 0;       ///< failed, and come again
    /// How often an event was handed out again, since somebody joined the group when it had no members.
    std::uint64_t redelivered = 0;
    std::uint64_t set_aside = 0; ///< dead letters, likewise
};

/// A durable subscription of a topic.
struct SubscriptionInfo {
    std::string name;
    /// Everything up to here is acknowledged; nothing before it has begun.
    std::optional<Sequence> cursor;
    bool paused = false;            ///< its holder receives nothing
    std::optional<PeerInfo> holder; ///< who receives from it just now; a group has members instead
    std::uint32_t creator_uid = 0;
    std::chrono::sys_time<std::chrono::nanoseconds> created;
    std::optional<GroupInfo> group; ///< nothing: it is none
};

} // namespace shmbus
