// A topic from the inside: the words that the public interface hides, for checks that nothing of
// the dead is left in them.
//
// The library closes its descriptors once it has mapped them, so the mappings themselves are looked
// up, in /proc/self/maps, by magic number and topic.
#pragma once

#include "layout/cursor.hpp"
#include "ring/view.hpp"
#include "shmbus/bus.hpp"

#include <string>

namespace shmbus::test {

/// The topic as a publisher of this process has it mapped: ring for writing, readers object
/// read-only. Valid as long as that publisher; there must be just one here.
/// @throws std::runtime_error when it is not mapped
[[nodiscard]] ring::Topic publisher_view(Bus& bus, const std::string& topic);
/// The same of a subscription: ring read-only, readers object for writing.
[[nodiscard]] ring::Topic subscriber_view(Bus& bus, const std::string& topic);

/// The page of the one durable subscription that is held here.
[[nodiscard]] std::span<std::byte> cursor_page(Bus& bus, const std::string& topic);

/// The memory of the one group that this process is a member of.
[[nodiscard]] std::span<std::byte> group_memory(Bus& bus, const std::string& topic);

/// What somebody has under way in a topic, or left behind.
struct Traces {
    unsigned claims = 0;      // slots claimed
    unsigned quarantined = 0; // slots quarantined
    unsigned owned = 0;       // chunks owned
    unsigned publishers = 0;  // publisher entries in use
    unsigned readers = 0;     // reader entries attached, or with a pid
    unsigned cells = 0;       // hold cells in use
    unsigned bits = 0;        // hold bits set
    bool operator==(const Traces&) const = default;
};
[[nodiscard]] Traces traces_of(const ring::Topic& topic);
std::ostream& operator<<(std::ostream& out, const Traces& traces);

/// What a process has open and uses, from /proc.
struct Usage {
    unsigned descriptors = 0;
    std::uint64_t anonymous_kib = 0; // resident, not shared
    std::uint64_t cpu_ticks = 0;     // user and system time
};
[[nodiscard]] Usage usage_of(pid_t pid);
/// Its one child, such as the worker of a supervising parent; 0 while there is none.
[[nodiscard]] pid_t child_of(pid_t parent);

} // namespace shmbus::test
