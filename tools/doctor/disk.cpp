#include "tools/doctor/disk.hpp"

#include "tools/doctor/process.hpp"
#include "tools/own_bus.hpp"
#include "tools/units.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <sys/statvfs.h>

namespace shmbus::tools::doctor {

namespace fs = std::filesystem;

namespace {

constexpr const char* check = "disk";

/// What the daemon leaves of the disk to others: a twentieth, or 1 GiB where that is less.
std::uint64_t reserve_of(const DiskFacts& facts) {
    return std::min<std::uint64_t>(facts.bytes / 20, std::uint64_t{1} << 30U);
}

/// As far as the options of topics say: those without a limit take what there is anyway.
std::uint64_t most_kept(const std::vector<TopicInfo>& topics) {
    constexpr std::uint64_t endless = ~std::uint64_t{0};
    std::uint64_t sum = 0;
    for (const auto& topic : topics) {
        if (topic.options.retention != Retention::disk) continue;
        const std::uint64_t times = topic.options.hold ? 4 : 1;
        if (topic.options.keep_bytes > (endless - sum) / times) return endless;
        sum += times * topic.options.keep_bytes;
    }
    return sum;
}

std::vector<std::string> places_by_rule(const std::string& socket) {
    std::vector<std::string> places{socket + ".state"};
    if (socket == "/run/shmbus.sock") places.emplace_back("/var/lib/shmbus");
    if (const char* home = std::getenv("XDG_STATE_HOME"); home != nullptr && *home != '\0')
        places.push_back(std::string(home) + "/shmbus");
    if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
        places.push_back(std::string(home) + "/.local/state/shmbus");
    return places;
}

std::uint64_t bytes_in(const fs::path& directory) {
    std::uint64_t sum = 0;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
        std::error_code gone;
        const auto size = it->file_size(gone);
        if (!gone) sum += size;
    }
    return sum;
}

void look_into(DiskFacts& facts) {
    std::error_code error;
    const auto topics = facts.directory + "/topics";
    fs::directory_iterator it(topics, error);
    if (error) {
        facts.unread = topics;
        facts.error = error.value();
        return;
    }
    facts.used_bytes = 0;
    for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
        if (!is_valid_name(it->path().filename().string())) continue;
        facts.topics_there.push_back(it->path().filename().string());
        *facts.used_bytes += bytes_in(it->path());
    }
    std::sort(facts.topics_there.begin(), facts.topics_there.end());
}

void add_room(Findings& findings, const DiskFacts& facts, const std::vector<TopicInfo>& topics) {
    const auto reserve = reserve_of(facts);
    const auto room = facts.free_bytes - std::min(facts.free_bytes, reserve);
    const auto make_room =
        fmt::format("make room there: du -xsh {}/topics/* | sort -h", quoted(facts.directory));
    const auto wanted = most_kept(topics);
    if (room == 0)
        findings.push_back(
            {Severity::warning, check,
             fmt::format("{} has {} left, and {} are to stay free: what is kept of "
                         "topics goes early, and then publishers wait",
                         facts.directory, format_size(facts.free_bytes), format_size(reserve)),
             make_room});
    else if (facts.used_bytes && wanted > *facts.used_bytes && wanted - *facts.used_bytes > room)
        findings.push_back(
            {Severity::note, check,
             fmt::format("topics may keep {}, have {}, and {} has room for {} more: they keep less "
                         "than their options say once it is full",
                         format_size(wanted), format_size(*facts.used_bytes), facts.directory,
                         format_size(room)),
             "make room there, or topics with a smaller --keep-bytes"});
}

/// The daemon goes on with the files that it has open: it may not have noticed.
Findings findings_of_unread(const DiskFacts& facts) {
    if (facts.error == ENOENT || facts.error == ENOTDIR)
        return {{Severity::warning, check,
                 fmt::format("the daemon keeps topics in {}, and there is no such directory: it "
                             "was moved away or removed, or is only where the daemon sees it",
                             facts.unread),
                 "put it back there, if it is not in the daemon's own mount namespace"}};
    return {{Severity::warning, check,
             fmt::format("{} cannot be read: {}", facts.unread, std::strerror(facts.error)),
             "see what is there: ls -ld " + quoted(facts.unread)}};
}

/// Those on disk that it lists, and that have no directory.
Findings findings_of_missing(const DiskFacts& facts, const std::vector<TopicInfo>& topics) {
    Findings findings;
    if (!facts.used_bytes) return findings;
    for (const auto& topic : topics) {
        const bool is_there =
            std::binary_search(facts.topics_there.begin(), facts.topics_there.end(), topic.name);
        if (topic.options.retention != Retention::disk || is_there) continue;
        findings.push_back(
            {Severity::warning, check,
             fmt::format("the directory of topic '{}' is not in {}/topics: it was moved away or "
                         "removed, and its events are kept nowhere else",
                         topic.name, facts.directory),
             "put it back there", topic.name});
    }
    return findings;
}

} // namespace

std::string state_directory_of(const std::string& socket, const std::string& topic_directory) {
    if (!topic_directory.empty()) // STATE/topics/NAME
        return fs::path(topic_directory).parent_path().parent_path().string();
    for (const auto& place : places_by_rule(socket))
        if (contents_of(place + "/socket") == socket + '\n') return place;
    return {};
}

DiskFacts look_at_disk(const std::string& state_directory) {
    DiskFacts facts{.directory = state_directory};
    struct statvfs status {};
    if (state_directory.empty()) return facts;
    if (::statvfs(state_directory.c_str(), &status) != 0) {
        facts.error = errno;
        facts.unread = state_directory;
        return facts;
    }
    facts.is_visible = true;
    facts.file_system = file_system_of(state_directory);
    facts.is_read_only = (status.f_flag & ST_RDONLY) != 0;
    facts.bytes = std::uint64_t{status.f_blocks} * status.f_frsize;
    facts.free_bytes = std::uint64_t{status.f_bavail} * status.f_frsize;
    facts.files = status.f_files;
    facts.free_files = status.f_favail;
    look_into(facts);
    return facts;
}

Findings findings_of(const DiskFacts& facts, const std::vector<TopicInfo>& topics,
                     std::uint32_t user) {
    Findings findings = findings_of_missing(facts, topics);
    if (!facts.unread.empty() && !facts.is_hidden_from(user))
        add(findings, findings_of_unread(facts));
    if (!facts.is_visible) return findings;
    if (facts.is_read_only)
        findings.push_back({Severity::error, check,
                            fmt::format("{} is on a file system that is mounted read-only ({})",
                                        facts.directory, facts.file_system),
                            fmt::format("see why: journalctl -k -n 50; then, as root: mount -o "
                                        "remount,rw \"$(findmnt -nT {} -o TARGET)\"",
                                        quoted(facts.directory))});
    else
        add_room(findings, facts, topics);
    if (facts.files != 0 && facts.free_files == 0)
        findings.push_back(
            {Severity::error, check,
             fmt::format("{} is on a file system that can have no more files (all of its {} inodes "
                         "are taken)",
                         facts.directory, facts.files),
             fmt::format(
                 "see where they are: du --inodes -x \"$(findmnt -nT {} -o TARGET)\" | sort "
                 "-n | tail",
                 quoted(facts.directory))});
    if (facts.file_system == "tmpfs" || facts.file_system == "ramfs")
        findings.push_back(
            {Severity::warning, check,
             fmt::format("{} is in memory ({}): topics on disk are gone when the host stops",
                         facts.directory, facts.file_system),
             "let --state-dir of shmbusd be on a disk"});
    return findings;
}

std::vector<std::string> unlisted(const DiskFacts& facts, const std::vector<TopicInfo>& topics) {
    std::set<std::string> listed;
    for (const auto& topic : topics) listed.insert(topic.name);
    std::vector<std::string> names;
    for (const auto& name : facts.topics_there)
        if (!listed.contains(name)) names.push_back(name);
    return names;
}

Finding unavailable(const DiskFacts& facts, const std::string& topic, const std::string& trouble) {
    const auto where = facts.directory + "/topics/" + topic;
    return {Severity::error, check, trouble,
            facts.directory.empty() ? ""
                                    : "see what is there: shmbus spill verify " + quoted(where),
            topic};
}

} // namespace shmbus::tools::doctor
