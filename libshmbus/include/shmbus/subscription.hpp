// Subscribing.
#pragma once

#include "shmbus/api.hpp"
#include "shmbus/event.hpp"
#include "shmbus/group.hpp"
#include "shmbus/types.hpp"

#include <variant>

namespace shmbus {

namespace client {
class Waiter;
}

struct SubscribeOptions {
    /// Where it starts. A durable subscription that has begun goes on where it was instead.
    Start start = Start::latest();
    /// Makes it durable: the bus keeps its cursor, also when this process or the daemon dies, and whoever
    /// opens a subscription of this name next goes on behind what was acknowledged. One holder at a time, and of
    /// one user: who made it, or received from it first.
    /// Empty: it ends with its process.
    std::string name = {};
    /// Joins the group `name`, which is made with these options if there is none; those of one that is there count.
    /// A group has no filters, is not lossy, and nobody steals it; it begins at `start` when it is made.
    std::optional<GroupOptions> group = {};
    /// If another process holds `name`, takes it over; that one gets Nothing::stolen. Else `busy`.
    bool steal = false;
    /// Only events of one of these types; empty: all. What a filter leaves out is no gap.
    std::vector<std::uint32_t> types = {};
    /// Only events with this key.
    std::optional<std::string> key = {};
    /// Events that were published longer ago are Event::stale(); they come all the same. Nothing: none is.
    std::optional<std::chrono::nanoseconds> max_age = {};
    /// Publishers of a block or reject topic do not wait for this subscription; it gets gaps.
    bool lossy = false;
    /// The subscription acknowledges an event by itself when the next one is asked for. Otherwise
    /// acknowledge() is the user's to call, and a full topic waits for it.
    bool auto_acknowledge = true;
    /// Whether typed events may be read where they lie, although whoever may publish to the topic
    /// could change them meanwhile. Nothing: if nobody but root and this process's user may publish.
    std::optional<bool> trust_publishers = {};
    /// How long to look for an event before sleeping: zero sleeps at once, max() never does. Nothing is
    /// gained by spinning on one core, so there it is taken for zero.
    std::chrono::nanoseconds spin = std::chrono::microseconds(20);
};

/// There was nothing to receive.
enum class Nothing : std::uint8_t {
    timed_out = 0, ///< no event within the deadline
    /// The topic is removed, or has begun anew with another daemon before this subscription was back: nothing
    /// is left or will come. Of a topic on disk more may be left, for who subscribes again.
    closed = 1,
    interrupted = 2, ///< interrupt() was called, or a handler without SA_RESTART ran while it slept
    /// 64 events are outstanding: release one. Or a group's member has max_in_flight in hand: acknowledge one.
    too_many_held = 3,
    stolen = 4, ///< another process took this durable subscription over, or it was removed
};

[[nodiscard]] SHMBUS_API const char* name_of(Nothing nothing) noexcept;

/// Every sequence comes exactly once, in order: in an event or in a gap. To a member of a group come the events of
/// its key slots, of each slot in order, and every gap that it reads past.
using Received = std::variant<Nothing, Gap, Event>;

/// How many events were filled in, or what there was instead.
using ReceivedBatch = std::variant<Nothing, Gap, std::size_t>;

/// A view of one topic with a position of its own.
///
/// Cost: no allocation and no exception; no system call unless it has to sleep, and none while it
/// sleeps. Only who is behind the ring of a topic on disk asks the daemon for one file after the other,
/// which allocates and takes at most 5 s, or 0.1 s where the deadline is nearer; and a member of a group that sets
/// an event aside writes a dead letter, which does, too, and takes at most 1 s, or 0.1 s likewise.
/// Lifetime: keeps its connection alive; may outlive the Bus object. When the daemon goes away, in order or
/// not, it reads what is there and waits for the next one as for the next event. Moved from, or in the child
/// of a fork(), which does not inherit the memory, it may only be destroyed or assigned to.
/// Thread safety: one thread at a time. interrupt() may be called from any thread and from a signal
/// handler.
class SHMBUS_API Subscription {
  public:
    Subscription(Subscription&&) noexcept;
    Subscription& operator=(Subscription&&) noexcept;
    ~Subscription();

    /// The next event or gap; looks at least once, also when the deadline has passed.
    Received receive(Deadline deadline) noexcept;
    /// The same, for so long from now. Asks the clock only if it has to wait.
    template <class Rep, class Period>
    Received receive(std::chrono::duration<Rep, Period> longest) noexcept {
        Received received = receive(Deadline::now());
        if (has_timed_out(received)) received = receive(Deadline(longest));
        return received;
    }

    /// Fills `events` from the front with what is there: waits for the first, never for another. A
    /// gap ends the batch and comes by itself, next. What `events` held is released first. At most
    /// 64 events are outstanding at a time, so a longer span is never filled.
    ReceivedBatch receive(std::span<Event> events, Deadline deadline) noexcept;
    template <class Rep, class Period>
    ReceivedBatch receive(std::span<Event> events,
                          std::chrono::duration<Rep, Period> longest) noexcept {
        ReceivedBatch received = receive(events, Deadline::now());
        if (has_timed_out(received)) received = receive(events, Deadline(longest));
        return received;
    }

    /// Everything up to and including `sequence` is done with: publishers of a full block or reject
    /// topic may overwrite it. Never moves back, nor beyond what was received. Always done. A member of a group
    /// acknowledges this one event, released or not; what it does not acknowledge within ack_wait comes again.
    Acknowledged acknowledge(Sequence sequence) noexcept;
    Acknowledged acknowledge(const Event& event) noexcept { return acknowledge(event.sequence()); }

    // For members of groups; others get not_held, but for the first, which is acknowledge() to them.

    /// All that it has in hand up to and including `sequence`; done if that was any.
    Acknowledged acknowledge_through(Sequence sequence) noexcept;
    /// It failed: it comes again after `delay`, or what the group's back_off says, from 1 ms to 7 days; to whichever
    /// member has its slot then. After max_deliver deliveries it is set aside instead.
    Acknowledged nack(Sequence sequence,
                      std::optional<std::chrono::nanoseconds> delay = {}) noexcept;
    Acknowledged nack(const Event& event,
                      std::optional<std::chrono::nanoseconds> delay = {}) noexcept {
        return nack(event.sequence(), delay);
    }
    /// It is still being worked on: ack_wait begins anew.
    Acknowledged touch(Sequence sequence) noexcept;
    Acknowledged touch(const Event& event) noexcept { return touch(event.sequence()); }
    /// It can't be processed: it is set aside at once, as a dead letter in the topic `<topic>.dlq`, with this
    /// reason (at most max_reason_bytes, 512, of it). Allocates, may talk to the daemon, and takes 1 s at most, as a
    /// receive() may that sets aside what has failed too often. An event that was released is not_held.
    Acknowledged reject(const Event& event, std::string_view reason) noexcept;

    /// Waits until what was acknowledged, of a group by any member, is on disk: then not even a power loss brings
    /// those events back. The bus does so by itself within a second or so; until then a power loss may, or the
    /// death of daemon and holder together, where nobody keeps the daemon's descriptors.
    /// Allocates, and talks to the daemon.
    /// @throws Error: timed_out; bad_argument (no durable subscription); busy (it was stolen); disconnected;
    /// system (a topic in memory, or the disk took it not)
    void persist(Deadline deadline);

    /// Makes a receive() that sleeps return `interrupted`; if none sleeps, the next one that would.
    void interrupt() noexcept;

    [[nodiscard]] const std::string& topic() const noexcept;
    /// The sequence receive() looks at next. What a member of a group has passed by, or what has failed, it may
    /// still receive from before this.
    [[nodiscard]] Sequence position() const noexcept;
    /// The newest sequence of the topic.
    [[nodiscard]] Sequence head() const noexcept;
    /// The last acknowledged sequence. Of a group: up to where all is done, when this member last looked.
    [[nodiscard]] Sequence cursor() const noexcept;
    /// When the last event that this object received and that is acknowledged was published: what was built
    /// from the topic is as of then. Nothing before the first.
    [[nodiscard]] std::optional<std::chrono::sys_time<std::chrono::nanoseconds>>
    as_of() const noexcept;
    /// Whether everything that was published by now has been received, or looked at by a group's member.
    [[nodiscard]] bool caught_up() const noexcept { return position() > head(); }

  private:
    friend class Bus;
    friend class client::Waiter;
    explicit Subscription(client::Receiver* receiver) noexcept : receiver_(receiver) {}
    template <class Result> static bool has_timed_out(const Result& result) noexcept {
        const auto* nothing = std::get_if<Nothing>(&result);
        return nothing != nullptr && *nothing == Nothing::timed_out;
    }
    client::Receiver* receiver_; // lives on until the last Event is released
};

} // namespace shmbus
