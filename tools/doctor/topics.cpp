#include "tools/doctor/topics.hpp"

#include "tools/doctor/process.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools::doctor {

namespace {

constexpr const char* check = "topic";
constexpr std::uint32_t entries = 256; // for publishers, and for subscribers, of a topic
constexpr std::uint32_t few_entries_left = entries / 10;

/// Up to here events are as safely on disk as the topic's options say.
Sequence stored_of(const TopicInfo& topic) noexcept {
    return topic.options.sync == Sync::none ? topic.written : topic.durable;
}

std::uint64_t behind_of(const TopicInfo& topic) noexcept {
    if (topic.options.retention == Retention::memory) return 0;
    return topic.head - std::min(topic.head, stored_of(topic));
}

/// Its publishers are about to wait for that.
bool is_far_behind(const TopicInfo& topic) noexcept {
    return behind_of(topic) > topic.options.capacity / 2;
}

/// The log of the daemon or of the kernel says more.
std::string remedy_of(const TopicInfo& topic) {
    const bool is_full = topic.trouble.find("no space") != std::string::npos ||
                         topic.trouble.find("No space") != std::string::npos;
    const auto where = quoted(topic.directory);
    return is_full ? fmt::format("make room: df -h {}; it goes on by itself then", where)
                   : fmt::format("look after the disk of {}: journalctl -k -n 50; it goes on by "
                                 "itself when that works",
                                 where);
}

void add_table(Findings& findings, const TopicInfo& topic, std::uint32_t count, const char* whom,
               const std::string& self) {
    if (count + few_entries_left < entries) return;
    const bool is_full = count >= entries;
    findings.push_back(
        {is_full ? Severity::error : Severity::warning, check,
         fmt::format("topic '{}' has {} {} of at most {}{}", topic.name, count, whom, entries,
                     is_full ? ": nobody else gets in" : ""),
         fmt::format("see who they are: {} topic info {}; end those that are of no use", self,
                     quoted(topic.name)),
         topic.name});
}

void add_draining(Findings& findings, const TopicInfo& topic, const std::string& self) {
    if (!topic.draining) return;
    const auto holdup = holdup_of(topic);
    findings.push_back(
        {Severity::warning, check,
         fmt::format("topic '{}' is being drained and takes no events{}", topic.name,
                     holdup.empty() ? "" : "; " + holdup),
         fmt::format("to take events again: {} topic drain {} --undo", self, quoted(topic.name)),
         topic.name});
}

} // namespace

bool needs_another_look(const TopicInfo& topic) noexcept {
    const auto stands_out = [&](const PeerInfo& peer) {
        const auto lag = lag_of(topic, peer);
        return peer.waits_for_pid != 0 || peer.cursor + 1 < topic.first ||
               (lag && *lag >= topic.options.capacity);
    };
    return is_far_behind(topic) ||
           std::any_of(topic.subscribers.begin(), topic.subscribers.end(), stands_out);
}

std::set<std::uint32_t> stopped_users_of(const TopicInfo& topic) {
    std::set<std::uint32_t> stopped;
    for (const auto* peers : {&topic.publishers, &topic.subscribers})
        for (const PeerInfo& peer : *peers) {
            const auto process = process_of(peer.pid);
            if (process && process->is_stopped()) stopped.insert(peer.pid);
        }
    return stopped;
}

Findings findings_of_storing(const TopicFacts& facts) {
    const TopicInfo& topic = facts.now;
    if (!topic.trouble.empty())
        return {{Severity::error, check,
                 fmt::format("topic '{}' takes nothing to the disk since event {}: {}", topic.name,
                             topic.written, topic.trouble),
                 remedy_of(topic), topic.name}};
    if (!is_far_behind(topic) || !facts.before || !is_far_behind(*facts.before)) return {};
    const bool stands_still = stored_of(topic) == stored_of(*facts.before);
    return {
        {stands_still ? Severity::error : Severity::warning, check,
         fmt::format("the disk is {} behind topic '{}', whose ring has room for {}{}",
                     counted(behind_of(topic), "event"), topic.name, topic.options.capacity,
                     stands_still ? ", and took none for a second" : ""),
         "see how busy the disk is: head /proc/pressure/io; a larger --capacity gets over peaks",
         topic.name}};
}

Findings findings_of(const TopicFacts& facts, const std::string& self) {
    const TopicInfo& topic = facts.now;
    if (!lag_of(topic, {}))
        return {
            {Severity::error, check,
             fmt::format("a process that may write to the ring of topic '{}' has scribbled over "
                         "it: its newest event would be {}",
                         topic.name, topic.head),
             fmt::format("make it anew: {0} topic rm {1} --force; {0} topic create {1}", self,
                         quoted(topic.name)),
             topic.name}};
    Findings findings = findings_of_storing(facts);
    add(findings, findings_of_users(facts));
    add_draining(findings, topic, self);
    add_table(findings, topic, topic.publisher_count, "publishers", self);
    add_table(findings, topic, topic.subscriber_count, "subscribers", self);
    add(findings, findings_of_incidents(facts, self));
    if (facts.subscriptions) add(findings, findings_of_subscriptions(facts, self));
    return findings;
}

} // namespace shmbus::tools::doctor
