// What /proc says of other processes.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <string_view>

namespace shmbus::tools::doctor {

struct Process {
    std::uint32_t pid = 0;
    std::string command = {}; ///< as PeerInfo::command
    char state = '?';         ///< as ps shows it
    std::uint32_t parent = 0;
    /// By SIGSTOP, or by a debugger.
    [[nodiscard]] bool is_stopped() const noexcept { return state == 'T' || state == 't'; }
    /// Its parent has not looked yet.
    [[nodiscard]] bool is_dead() const noexcept { return state == 'Z' || state == 'X'; }
};

/// Nothing if there is no such process, or it is not shown to us.
[[nodiscard]] std::optional<Process> process_of(std::uint32_t pid);
/// From /proc/PID/stat. Nothing if the text is none.
[[nodiscard]] std::optional<Process> parse_stat(std::string_view text);

/// How many files it may open, from /proc/PID/limits. Nothing if the text does not say; no limit is a large number.
[[nodiscard]] std::optional<std::uint64_t> parse_descriptor_limit(std::string_view text);

/// In how many pid namespaces it has a number, from ours on, by /proc/PID/status. Nothing if the text does not say.
[[nodiscard]] std::optional<std::size_t> parse_namespaces(std::string_view text);

/// The inode of the socket that listens at a path, in the text of /proc/net/unix; empty: there is none.
[[nodiscard]] std::string listener_in(std::istream& text, const std::string& path);

/// A unit of systemd that a process runs in.
struct Service {
    std::string name; ///< empty: in none
    bool is_users = false;
    bool operator==(const Service&) const = default;
};
/// From /proc/PID/cgroup. Whoever owns a cgroup may name it as he likes: names that no unit has are none.
[[nodiscard]] Service parse_service(std::string_view text);

/// A file of /proc, at most 64 KiB; empty if it cannot be read.
[[nodiscard]] std::string contents_of(const std::string& path);

} // namespace shmbus::tools::doctor
