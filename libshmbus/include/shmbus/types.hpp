// The words of the bus: sequences, deadlines, attributes of an event, options of a topic.
#pragma once

#include "shmbus/api.hpp"

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shmbus {

/// Position of an event in its topic: dense, one total order, starts at 1, never used twice.
using Sequence = std::uint64_t;

using Bytes = std::span<const std::byte>;

/// Views the characters of a text as bytes; valid as long as the text.
inline Bytes as_bytes(std::string_view text) noexcept {
    return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

/// Views bytes as text, unchecked; valid as long as the bytes.
inline std::string_view as_text(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// When a blocking call gives up: a point on the monotonic clock, or never.
/// A duration converts to "that long from now".
class Deadline {
  public:
    using Clock = std::chrono::steady_clock;

    // Implicit on purpose: receive(100ms) reads as what it does.
    template <class Rep, class Period>
    Deadline(std::chrono::duration<Rep, Period> from_now)
        : when_(std::chrono::duration<double>(from_now) >
                        std::chrono::duration<double>(1e9) // 31 years
                    ? Clock::time_point::max()
                    : from(std::chrono::duration_cast<std::chrono::nanoseconds>(from_now))) {}
    Deadline(Clock::time_point when) noexcept : when_(when) {}

    /// Waits as long as it takes.
    static Deadline never() noexcept { return {Clock::time_point::max()}; }
    /// Does not wait at all.
    static Deadline now() noexcept { return {Clock::time_point::min()}; }

    [[nodiscard]] bool is_never() const noexcept { return when_ == Clock::time_point::max(); }
    /// Asks the clock only when the answer depends on it.
    [[nodiscard]] bool passed() const noexcept {
        return when_ == Clock::time_point::min() || (!is_never() && Clock::now() >= when_);
    }
    [[nodiscard]] Clock::time_point when() const noexcept { return when_; }

  private:
    static Clock::time_point from(std::chrono::nanoseconds from_now) {
        return from_now <= std::chrono::nanoseconds::zero() ? Clock::time_point::min()
                                                            : Clock::now() + from_now;
    }
    Clock::time_point when_;
};

/// W3C trace-id: 128 bits that all events of one request share; all zero means none.
struct SHMBUS_API CorrelationId {
    std::array<std::uint8_t, 16> bytes{};

    /// 16 random bytes, never all zero. @throws Error(system) without a source of randomness
    static CorrelationId random();
    /// From 32 hexadecimal digits; nothing if the text is anything else.
    static std::optional<CorrelationId> parse(std::string_view hex);
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] bool empty() const noexcept {
        const auto halves = std::bit_cast<std::array<std::uint64_t, 2>>(bytes);
        return (halves[0] | halves[1]) == 0;
    }
    bool operator==(const CorrelationId&) const = default;
};

/// The event that made this one happen. `topic` must be a valid name; `sequence` is not checked.
struct Cause {
    std::string_view topic;
    Sequence sequence = 0;
};

/// One user header: a name and a value, both bytes of the user's choice.
struct Header {
    std::string_view name;
    std::string_view value;
};

/// What travels with a payload. Views are read during the call that takes them, not later.
struct Attributes {
    std::string_view key = {}; ///< at most max_key_bytes; empty means none
    std::uint32_t type = 0;    ///< the application's own event type
    /// The publisher's own event id; 0 means none. Those of a named publisher go up: each is larger than
    /// the one before, and 0 means the next one.
    std::uint64_t id = 0;
    CorrelationId correlation = {}; ///< empty means none
    std::optional<Cause> cause = {};
    std::array<std::uint8_t, 8> parent_id = {}; ///< W3C parent-id; all zero means none
    std::uint8_t trace_flags = 0;               ///< W3C trace flags, kept only with a parent_id
    std::span<const Header> headers = {};       ///< at most max_headers_bytes together
};

inline constexpr std::size_t max_key_bytes = 255;
/// Names, values and 6 bytes for each header together.
inline constexpr std::size_t max_headers_bytes = 4096;
inline constexpr std::size_t max_name_bytes = 128;

/// Whether this may name a topic, a subscription or a publisher:
/// [A-Za-z0-9][A-Za-z0-9._-]{0,127}
[[nodiscard]] SHMBUS_API bool is_valid_name(std::string_view name) noexcept;

/// What a publisher does when the ring is full of events that a subscriber still needs.
enum class FullPolicy : std::uint8_t {
    block = 0,       ///< waits, up to its deadline
    reject = 1,      ///< returns PublishOutcome::full
    drop_oldest = 2, ///< overwrites; who had not read it gets a gap
};

/// What became of a publish. Only `published` has a sequence.
enum class PublishOutcome : std::uint8_t {
    published = 0, ///< it is in the ring: every subscriber gets it, whoever is killed from now on
    full = 1,      ///< reject: the ring is full of events that a subscriber still needs. With any
                   ///< policy but block: a stopped publisher sits in every slot of the ring
    pool_full = 2, ///< no chunk for a payload of this size (block: within the deadline)
    timed_out = 3, ///< block: no room within the deadline
    /// The topic takes no events: drained, removed, begun anew with another daemon, or its daemon stopped in
    /// order and none was back within the deadline (block; with the other policies at once).
    closed = 4,
    too_large = 5,      ///< payload beyond max_event, or attributes that fit nowhere
    bad_attributes = 6, ///< a key, header or cause beyond its documented limits; a loan that is
                        ///< empty, or another publisher's
    revoked = 7,        ///< a loan's publish was taken for dead, and its memory has been reused
    interrupted =
        8, ///< interrupt() was called, or a handler without SA_RESTART ran, in a wait for room
    damaged = 9, ///< the ring is not what it should be; nothing was published
    duplicate =
        10, ///< a named publisher's: it has published an event of this id, or a later one, before
};

[[nodiscard]] SHMBUS_API const char* name_of(PublishOutcome outcome) noexcept;

/// Whether an event survives a power loss.
enum class Durability : std::uint8_t {
    durable = 0,     ///< it does
    timed_out = 1,   ///< not within the deadline; it may yet
    not_durable = 2, ///< it never will: the topic is in memory, or its sync is `none`
    interrupted = 3, ///< as PublishOutcome::interrupted
    closed = 4,      ///< it never will: the topic was removed, or has begun anew
};

[[nodiscard]] SHMBUS_API const char* name_of(Durability durability) noexcept;

/// Why a sequence carries no event.
enum class GapReason : std::uint8_t {
    aborted = 1, ///< its publisher died or was stopped while publishing; the same for everybody
    overrun = 2, ///< overwritten before this subscription read it
    evicted = 3, ///< this subscription held up the topic for too long and lost its claim to wait
    lost = 4,    ///< gone with the memory it was in; the same for everybody
    expired = 5, ///< removed by retention; the same for everybody
    corrupt = 6, ///< its bytes are damaged
};

/// Sequences that a subscription does not get, and why; both ends included.
struct Gap {
    Sequence first = 0;
    Sequence last = 0;
    GapReason reason = GapReason::aborted;
    bool operator==(const Gap&) const = default;
};

/// What became of an event's bytes while they were held.
enum class Released : std::uint8_t {
    intact = 0,  ///< everything read through this event was the event
    revoked = 1, ///< held past the topic's hold_timeout_ms and reused: discard what was read
};

/// Where a new subscription starts.
class Start {
  public:
    using Time = std::chrono::sys_time<std::chrono::nanoseconds>;
    enum class Kind : std::uint8_t { all, latest, last, sequence, time };

    /// With the oldest event still there.
    static Start all() noexcept { return Start(Kind::all, 0); }
    /// With the first event published from now on ("new" on the command line).
    static Start latest() noexcept { return Start(Kind::latest, 0); }
    /// With the newest event already there, if any.
    static Start last() noexcept { return Start(Kind::last, 0); }
    /// With this sequence; what of it is gone already comes as a gap. One that is still to come is
    /// waited for; one below the topic's first ever is the same as all().
    static Start sequence(Sequence first) noexcept { return Start(Kind::sequence, first); }
    /// With the first event published at or after this time, or what is missing right before it.
    static Start time(Time from) noexcept {
        const auto ns = from.time_since_epoch().count();
        return Start(Kind::time, ns < 0 ? 0 : static_cast<std::uint64_t>(ns));
    }
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

  private:
    Start(Kind kind, std::uint64_t value) noexcept : kind_(kind), value_(value) {}
    Kind kind_;
    std::uint64_t value_;
};

[[nodiscard]] SHMBUS_API const char* name_of(FullPolicy policy) noexcept;
[[nodiscard]] SHMBUS_API const char* name_of(GapReason reason) noexcept;

/// Where a topic's events live.
enum class Retention : std::uint8_t {
    memory = 0, ///< in the ring alone: gone when neither a daemon nor a client has it any more
    disk = 1,   ///< in the ring, and in files that survive everything but the disk
};

/// When the events of a topic on disk are made to survive a power loss.
enum class Sync : std::uint8_t {
    none = 0,     ///< when the system gets round to it. They survive the death of any process
    interval = 1, ///< at most sync_interval_ms after they were published
    group = 2,    ///< at once, as many together as came while the disk was busy
};

[[nodiscard]] SHMBUS_API const char* name_of(Retention retention) noexcept;
[[nodiscard]] SHMBUS_API const char* name_of(Sync sync) noexcept;

/// Geometry and policy of a topic. Geometry never changes after creation.
struct TopicOptions {
    FullPolicy full = FullPolicy::block;
    std::uint32_t capacity = 16'384;     ///< slots; a power of two, 2 to 2^24
    std::uint32_t slot_bytes = 256;      ///< with 64 of header; a power of two, 128 to 65,536
    std::uint64_t max_event = 1U << 20U; ///< largest payload in bytes; 1 to 1 GiB
    std::uint64_t pool_bytes = 64U
                               << 20U; ///< for payloads too large for a slot; 0 to 64 GiB, sparse
    /// How long one subscriber may hold up a full topic: 1 ms to 49 days, all that fits.
    std::uint32_t evict_after_ms = 10'000;
    /// How long a held payload is safe from reuse; likewise.
    std::uint32_t hold_timeout_ms = 10'000;
    Retention retention = Retention::disk;
    // What follows is for topics on disk alone. Their publishers wait for the disk, and for no
    // subscriber; evict_after_ms is how long a stopped publisher may hold up the disk
    // while there is no daemon.
    Sync sync = Sync::group;
    std::uint32_t sync_interval_ms = 100;   ///< for Sync::interval; 1 to 3,600,000
    std::uint64_t keep_bytes = 1ULL << 30U; ///< of files; the oldest go first. 0: no limit
    std::uint64_t keep_age_ms = 0;          ///< older events may go; 0: no limit
    std::uint64_t keep_events = 0;          ///< so many of the newest stay; 0: no limit
    /// What a durable subscription has not acknowledged stays in spite of these limits, until the files
    /// take 4 times keep_bytes.
    bool hold = false;
    bool operator==(const TopicOptions&) const = default;
};

/// One process that publishes to or subscribes to a topic.
struct PeerInfo {
    std::uint32_t pid = 0; ///< as the daemon sees it
    std::uint32_t uid = 0;
    std::string command; ///< name of its program, at most 15 bytes; for people, not for decisions
    Sequence cursor = 0; ///< subscribers: the last acknowledged sequence
    bool lossy = false;  ///< subscribers: publishers do not wait for it
    /// Subscribers: who has begun the next event and not finished it; 0: nobody. For longer than a
    /// moment, and up to two seconds: a publisher that was stopped.
    std::uint32_t waits_for_pid = 0;
};

/// What the daemon knows of a topic.
struct TopicInfo {
    std::string name;
    std::string uuid; ///< tells two topics of one name apart
    TopicOptions options;
    Sequence first = 0; ///< the oldest sequence that is still there, in the ring or on disk
    Sequence head = 0;  ///< the newest sequence; first - 1 when there is none
    std::uint32_t publisher_count = 0;
    std::uint32_t subscriber_count = 0;
    std::vector<PeerInfo> publishers;  ///< filled by Bus::topic(), empty in a list
    std::vector<PeerInfo> subscribers; ///< likewise
    std::uint64_t memory_bytes = 0;    ///< of the shared objects; the pool's part is sparse
    std::uint32_t creator_uid = 0;
    bool draining = false;  ///< refuses new events
    bool exclusive = false; ///< its publisher has it to itself
    Sequence written = 0;   ///< on disk: survives the death of any process up to here
    Sequence durable = 0;   ///< on disk: survives a power loss up to here
    std::string trouble;    ///< why the disk takes no events just now; empty: it does
    /// Where its files are, as the daemon sees it: read them with shmbus/spill.hpp. Filled by
    /// Bus::topic(), empty in a list and for topics in memory.
    std::string directory;
};

} // namespace shmbus
