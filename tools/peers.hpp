// What is worth knowing of a topic and of the processes that use it, as JSON and in words.
#pragma once

#include "tools/text.hpp"

#include <shmbus/group.hpp>

#include <optional>

namespace shmbus::tools {

/// "memory", or "disk, sync group, …": where its events live and how long.
[[nodiscard]] std::string retention_of(const TopicInfo& topic);

/// How many events lie between a subscriber and the head. Nothing where the head is no number of an
/// event: a process that may write to the ring has scribbled over it.
[[nodiscard]] std::optional<std::uint64_t> lag_of(const TopicInfo& topic,
                                                  const PeerInfo& subscriber) noexcept;
/// The same for a table: "3", or "?".
[[nodiscard]] std::string lag_shown(const TopicInfo& topic, const PeerInfo& subscriber);

/// How many sequences are still there.
[[nodiscard]] std::uint64_t events_kept(const TopicInfo& topic) noexcept;

/// The subscriber that publishers wait for first: the one furthest behind of those that gate.
/// nullptr if there is none, or they wait for the disk.
[[nodiscard]] const PeerInfo* slowest_gate(const TopicInfo& topic) noexcept;

/// Who holds up publishers, and by what: "pid 4711 (sh) has 3 events to acknowledge". Empty: nobody.
[[nodiscard]] std::string holdup_of(const TopicInfo& topic);

/// "pid 4711 (sh)".
[[nodiscard]] std::string describe(const PeerInfo& peer);

/// Whether a process receives from it just now.
[[nodiscard]] bool is_held(const SubscriptionInfo& subscription) noexcept;

/// Everything; what only Bus::topic() fills in, if `detailed`.
[[nodiscard]] Json json_of(const TopicInfo& topic, bool detailed);

} // namespace shmbus::tools
