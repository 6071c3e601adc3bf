// Durable subscriptions that nobody serves, or that events get lost for.
#include "tools/doctor/topics.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"
#include "tools/units.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools::doctor {

namespace {

constexpr const char* check = "subscription";

class Report {
  public:
    Report(const TopicInfo& topic, const std::string& self) : topic_(topic), self_(self) {}

    void add_paused(const SubscriptionInfo& one) {
        if (one.paused && lag(one) != 0)
            add(Severity::warning,
                fmt::format("{} is paused, with {} to come", name(one), counted(lag(one), "event")),
                command("resume", one));
    }
    /// What the topic has expired before anybody of that name had it.
    void add_expired(const SubscriptionInfo& one) {
        if (!one.cursor || *one.cursor + 1 >= topic_.first || (is_held(one) && !one.paused)) return;
        const auto count = topic_.first - *one.cursor - 1;
        const bool on_disk = topic_.options.retention == Retention::disk;
        add(Severity::warning,
            fmt::format("{} has not had {} that {} gone by now", name(one), counted(count, "event"),
                        count == 1 ? "is" : "are"),
            fmt::format("its next holder is told so by a gap; a topic made with {} keeps them; if "
                        "nobody needs it: {}",
                        on_disk ? "--hold, or a larger --keep-bytes," : "--retention disk",
                        command("rm", one)));
    }
    /// Files grow for it, and nobody takes anything out.
    void add_held(const SubscriptionInfo& one) {
        if (!topic_.options.hold || is_held(one) || one.paused || lag(one) == 0) return;
        add(Severity::warning,
            fmt::format("nobody receives from {}, and {} kept on disk for it, up to {}", name(one),
                        counted(lag(one), "event") + (lag(one) == 1 ? " is" : " are"),
                        cap_of(topic_.options.keep_bytes)),
            fmt::format("receive them: {} sub {} {} {}; or, if nobody needs it: {}", self_,
                        quoted(topic_.name), one.group ? "--group" : "--name", quoted(one.name),
                        command("rm", one)));
    }
    /// Stopped, or stuck with an event.
    void add_stalled(const SubscriptionInfo& one) {
        if (!one.group) return;
        for (const auto& member : one.group->members)
            if (member.stalled)
                add(Severity::warning,
                    fmt::format(
                        "{}: its member {} has not received for {}, and others have its events",
                        name(one), describe(member.peer),
                        format_duration(one.group->options.ack_wait)),
                    "see what it waits for, or whether it is stopped; or end it");
    }
    void add_in_memory(std::size_t count) {
        if (topic_.options.retention == Retention::disk || count == 0) return;
        add(Severity::note,
            fmt::format("topic '{}' is in memory and has {}: who comes back more than {} later "
                        "misses some, and all of them go with the memory",
                        topic_.name, counted(count, "durable subscription"),
                        counted(topic_.options.capacity, "event")),
            "where nothing is to be missed make the topic with --retention disk");
    }
    [[nodiscard]] Findings findings() && { return std::move(findings_); }

  private:
    static std::string cap_of(std::uint64_t keep_bytes) {
        return keep_bytes == 0 ? "no limit" : format_size(4 * keep_bytes);
    }
    void add(Severity severity, const std::string& what, const std::string& what_to_do) {
        findings_.push_back({severity, check, what, what_to_do, topic_.name});
    }
    [[nodiscard]] std::uint64_t lag(const SubscriptionInfo& one) const {
        const auto cursor =
            one.cursor.value_or(topic_.head); // one that has not begun misses nothing
        return topic_.head - std::min(topic_.head, cursor);
    }
    [[nodiscard]] std::string name(const SubscriptionInfo& one) const {
        return fmt::format("subscription '{}' of topic '{}'", one.name, topic_.name);
    }
    [[nodiscard]] std::string command(const char* verb, const SubscriptionInfo& one) const {
        return fmt::format("{} subscription {} {} {}", self_, verb, quoted(topic_.name),
                           quoted(one.name));
    }

    const TopicInfo& topic_;
    const std::string& self_;
    Findings findings_;
};

} // namespace

Findings findings_of_subscriptions(const TopicFacts& facts, const std::string& self) {
    Report report(facts.now, self);
    for (const auto& one : *facts.subscriptions) {
        report.add_paused(one);
        report.add_expired(one);
        report.add_held(one);
        report.add_stalled(one);
    }
    report.add_in_memory(facts.subscriptions->size());
    return std::move(report).findings();
}

} // namespace shmbus::tools::doctor
