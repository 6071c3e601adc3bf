#include "tools/peers.hpp"

#include "text/topic_choice.hpp"

#include "tools/output.hpp"
#include "tools/units.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace shmbus::tools {

namespace {

Json peers_json(const TopicInfo& topic, const std::vector<PeerInfo>& peers, bool subscribers) {
    Json list = Json::array();
    for (const PeerInfo& peer : peers) {
        Json json;
        json["pid"] = peer.pid;
        json["uid"] = peer.uid;
        json["command"] = peer.command;
        if (subscribers) {
            json["cursor"] = peer.cursor;
            json["lag"] = nullptr;
            if (const auto lag = lag_of(topic, peer)) json["lag"] = *lag;
            json["lossy"] = peer.lossy;
            json["waits_for_pid"] = peer.waits_for_pid;
        }
        list.push_back(json);
    }
    return list;
}

} // namespace

std::string retention_of(const TopicInfo& topic) {
    const TopicOptions& options = topic.options;
    if (options.retention == Retention::memory) return "memory";
    std::string text = fmt::format("disk, sync {}", name_of(options.sync));
    if (options.sync == Sync::interval) text += fmt::format(" of {} ms", options.sync_interval_ms);
    if (options.keep_bytes != 0) text += ", keeps " + format_size(options.keep_bytes);
    if (options.keep_age_ms != 0)
        text += ", " + format_duration(std::chrono::milliseconds(options.keep_age_ms));
    if (options.keep_events != 0) text += ", " + counted(options.keep_events, "event");
    if (options.hold) text += ", holds";
    return text;
}

std::optional<std::uint64_t> lag_of(const TopicInfo& topic, const PeerInfo& subscriber) noexcept {
    constexpr Sequence never = Sequence{1} << 63U; // at a thousand million a second: in 292 years
    if (topic.head >= never) return {};
    return topic.head > subscriber.cursor ? topic.head - subscriber.cursor : 0;
}

std::string lag_shown(const TopicInfo& topic, const PeerInfo& subscriber) {
    const auto lag = lag_of(topic, subscriber);
    return lag ? fmt::to_string(*lag) : "?";
}

std::uint64_t events_kept(const TopicInfo& topic) noexcept {
    return topic.head + 1 > topic.first ? topic.head + 1 - topic.first : 0;
}

const PeerInfo* slowest_gate(const TopicInfo& topic) noexcept {
    if (topic.options.retention == Retention::disk) return nullptr;    // waits for the disk
    if (topic.options.full == FullPolicy::drop_oldest) return nullptr; // waits for nobody
    const PeerInfo* slowest = nullptr;
    for (const PeerInfo& peer : topic.subscribers)
        if (!peer.lossy && (slowest == nullptr || peer.cursor < slowest->cursor)) slowest = &peer;
    return slowest;
}

std::string holdup_of(const TopicInfo& topic) {
    if (!topic.trouble.empty()) return "the disk takes no events: " + printable(topic.trouble);
    const PeerInfo* const gate = slowest_gate(topic);
    if (gate == nullptr) return {};
    for (const PeerInfo& publisher : topic.publishers)
        if (gate->waits_for_pid != 0 && publisher.pid == gate->waits_for_pid)
            return fmt::format("{} has begun event {} and not finished it: is it stopped?",
                               describe(publisher), gate->cursor + 1);
    const auto lag = lag_of(topic, *gate);
    return fmt::format("{} has {} to acknowledge", describe(*gate),
                       lag ? counted(*lag, "event") : "events");
}

bool is_held(const SubscriptionInfo& subscription) noexcept {
    return subscription.holder || (subscription.group && !subscription.group->members.empty());
}

std::string describe(const PeerInfo& peer) {
    return fmt::format("pid {} ({})", peer.pid, printable(peer.command));
}

Json json_of(const TopicInfo& topic, bool detailed) {
    Json json;
    json["topic"] = topic.name;
    json["uuid"] = topic.uuid;
    json["retention"] = name_of(topic.options.retention);
    if (topic.options.retention == Retention::disk) {
        json["sync"] = name_of(topic.options.sync);
        if (topic.options.sync == Sync::interval)
            json["sync_interval_ms"] = topic.options.sync_interval_ms;
        json["keep_bytes"] = topic.options.keep_bytes;
        json["keep_age_ms"] = topic.options.keep_age_ms;
        json["keep_events"] = topic.options.keep_events;
        json["hold"] = topic.options.hold;
        json["written"] = topic.written;
        json["durable"] = topic.durable;
        json["trouble"] = topic.trouble;
    }
    json["full"] = text::word_of(topic.options.full);
    json["capacity"] = topic.options.capacity;
    json["slot"] = topic.options.slot_bytes;
    json["max_event"] = topic.options.max_event;
    json["pool"] = topic.options.pool_bytes;
    json["evict_after_ms"] = topic.options.evict_after_ms;
    json["hold_timeout_ms"] = topic.options.hold_timeout_ms;
    json["first"] = topic.first;
    json["head"] = topic.head;
    json["draining"] = topic.draining;
    json["exclusive"] = topic.exclusive;
    json["memory_bytes"] = topic.memory_bytes;
    json["creator_uid"] = topic.creator_uid;
    json["publisher_count"] = topic.publisher_count;
    json["subscriber_count"] = topic.subscriber_count;
    if (detailed) {
        if (topic.options.retention == Retention::disk)
            put_bytes(json, "directory", topic.directory);
        json["publishers"] = peers_json(topic, topic.publishers, false);
        json["subscribers"] = peers_json(topic, topic.subscribers, true);
    }
    return json;
}

} // namespace shmbus::tools
