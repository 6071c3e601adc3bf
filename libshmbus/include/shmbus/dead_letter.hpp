// Dead letters: what a group has set aside, for whoever reads `<topic>.dlq`.
//
//     const auto received = letters.receive(10s); // from topic orders.dlq
//     if (const auto* event = std::get_if<shmbus::Event>(&received))
//         if (const auto letter = shmbus::read_dead_letter(*event)) look_at(*event, *letter);
//
// `<topic>.dlq` is a topic like any other, made with the first letter: in memory or on disk as the topic is,
// for payloads as large. One that is there is used as it is. In memory it has the newest 1,024 letters.
//
// A letter is the original event once more: the same payload, key, type, correlation, parent-id and event id.
// Its cause is the original, as topic and sequence. Before the original's headers come the bus's own, each once
// and in this order:
//
//     shmbus-reason           why: what reject() was told, or that it failed too often
//     shmbus-headers-dropped  how many of the original's headers had no room; only if any
//     shmbus-cause            the original's own cause, as topic:sequence; only if it has one
//     shmbus-attempts         how often it was handed out
//     shmbus-subscription     the group
//     shmbus-time             when the original was published, in nanoseconds since 1970
//     shmbus-publisher        the original's Event::publisher(); behind it come the original's headers
//
// A member that dies while it sets an event aside may leave two letters of it. Letters are never taken out of
// their topic. What became of one is another event of `<topic>.dlq`, whose cause is the letter, as topic and
// sequence, and which has one header:
//
//     shmbus-settled          replayed:SEQUENCE, with the sequence that it has now, or discarded
//
// A letter that is replayed is published to its topic once more: the original, with its own cause, and the
// header `shmbus-replay-of`, which is topic:sequence of the original. It has a new sequence; identity_of()
// tells who has seen the original that it is the same event.
#pragma once

#include "shmbus/api.hpp"
#include "shmbus/event.hpp"
#include "shmbus/group.hpp"
#include "shmbus/types.hpp"

#include <optional>
#include <string>
#include <vector>

namespace shmbus {

/// A longer reason is cut off.
inline constexpr std::size_t max_reason_bytes = 512;

inline constexpr std::string_view header_reason = "shmbus-reason";
inline constexpr std::string_view header_headers_dropped = "shmbus-headers-dropped";
inline constexpr std::string_view header_cause = "shmbus-cause";
inline constexpr std::string_view header_attempts = "shmbus-attempts";
inline constexpr std::string_view header_subscription = "shmbus-subscription";
inline constexpr std::string_view header_time = "shmbus-time";
inline constexpr std::string_view header_publisher = "shmbus-publisher";
inline constexpr std::string_view header_settled = "shmbus-settled";
inline constexpr std::string_view header_replay_of = "shmbus-replay-of";

/// An event of a topic, under whatever sequences it came: what an idempotent consumer keeps.
struct Identity {
    std::string topic;
    Sequence sequence = 0;
    auto operator<=>(const Identity&) const = default;
};

/// What a letter says beside what Event shows of the original.
struct DeadLetter {
    using Time = std::chrono::sys_time<std::chrono::nanoseconds>;
    Identity original;             ///< where it was
    std::string reason;            ///< bytes of the application's choice
    std::uint32_t attempts = 0;    ///< how often it was handed out
    std::string subscription;      ///< the group that set it aside
    Time time;                     ///< when the original was published
    std::uint32_t publisher = 0;   ///< its Event::publisher()
    std::optional<Identity> cause; ///< its own
    std::size_t first_header = 0;  ///< Event::header() of this and all behind it are the original's
    std::size_t headers_dropped = 0; ///< so many more did not fit
};

/// What became of a letter.
struct SettledLetter {
    Identity letter;
    std::optional<Sequence> replayed_as; ///< nothing: it was discarded
};

/// Nothing if the event is no letter: whoever may publish to the topic may have published anything. Views of
/// `event` are not kept. May allocate.
[[nodiscard]] SHMBUS_API std::optional<DeadLetter> read_dead_letter(const Event& event);

/// Nothing if the event does not tell what became of a letter.
[[nodiscard]] SHMBUS_API std::optional<SettledLetter> read_settled_letter(const Event& event);

/// That of the original if this is its replay, of the same topic; else its own. An event that was released, or
/// that read_spill() shows, knows no topic: then it is empty, but for a replay of any topic.
[[nodiscard]] SHMBUS_API Identity identity_of(const Event& event);

} // namespace shmbus
