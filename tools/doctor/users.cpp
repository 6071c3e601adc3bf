// Who of a topic's publishers and subscribers holds others up, or gets nowhere.
#include "tools/doctor/topics.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools::doctor {

namespace {

constexpr const char* check = "topic";

const PeerInfo* find(const std::vector<PeerInfo>& peers, std::uint32_t pid) {
    const auto found = std::find_if(peers.begin(), peers.end(),
                                    [&](const PeerInfo& peer) { return peer.pid == pid; });
    return found == peers.end() ? nullptr : &*found;
}

class Report {
  public:
    explicit Report(const TopicFacts& facts) : facts_(facts), topic_(facts.now) {}
    void add_claims();
    void add_gate();
    void add_losing();
    void add_stopped();
    [[nodiscard]] Findings findings() && { return std::move(findings_); }

  private:
    void add(Severity severity, const std::string& what, const std::string& what_to_do) {
        findings_.push_back({severity, check, what, what_to_do, topic_.name});
    }
    [[nodiscard]] bool is_stopped(std::uint32_t pid) const { return facts_.stopped.contains(pid); }
    [[nodiscard]] std::uint64_t lag(const PeerInfo& peer) const {
        return lag_of(topic_, peer).value_or(0);
    }
    /// The same subscriber of the same process, a second earlier; it is the nearest that a list tells.
    [[nodiscard]] const PeerInfo* earlier(const PeerInfo& peer) const;

    const TopicFacts& facts_;
    const TopicInfo& topic_;
    std::set<std::uint32_t> told_; // pids of whom all is said
    Findings findings_;
};

const PeerInfo* Report::earlier(const PeerInfo& peer) const {
    if (!facts_.before) return nullptr;
    const PeerInfo* nearest = nullptr;
    for (const PeerInfo& one : facts_.before->subscribers)
        if (one.pid == peer.pid && one.cursor <= peer.cursor &&
            (nearest == nullptr || one.cursor > nearest->cursor))
            nearest = &one;
    return nearest;
}

/// A publisher that has begun an event and not finished it, for a second.
void Report::add_claims() {
    for (const PeerInfo& waiting : topic_.subscribers) {
        const auto pid = waiting.waits_for_pid;
        const PeerInfo* const before = earlier(waiting);
        const bool lasts =
            before != nullptr && before->cursor == waiting.cursor && before->waits_for_pid == pid;
        if (pid == 0 || !(is_stopped(pid) || lasts) || !told_.insert(pid).second) continue;
        const PeerInfo* const publisher = find(topic_.publishers, pid);
        const auto who = publisher == nullptr ? fmt::format("pid {}", pid) : describe(*publisher);
        add(Severity::error,
            fmt::format("{} has begun event {} of topic '{}' and not finished it{}: subscribers "
                        "wait for that",
                        who, waiting.cursor + 1, topic_.name,
                        is_stopped(pid) ? ", as it is stopped" : ""),
            fmt::format("let it go on: kill -CONT {0}; or end it: kill -KILL {0}", pid));
    }
}

/// The subscriber that publishers wait for, or are about to.
void Report::add_gate() {
    const PeerInfo* const gate = slowest_gate(topic_);
    if (gate == nullptr || lag(*gate) == 0) return;
    const bool is_full = lag(*gate) >= topic_.options.capacity;
    const auto has = fmt::format("{} has {} of topic '{}' to acknowledge", describe(*gate),
                                 counted(lag(*gate), "event"), topic_.name);
    const auto waits = topic_.options.full == FullPolicy::reject
                           ? "publishers are refused until then"
                           : "publishers wait for that";
    if (is_stopped(gate->pid)) {
        told_.insert(gate->pid);
        add(is_full ? Severity::error : Severity::warning,
            fmt::format("{} and is stopped: {}", has,
                        is_full ? waits : "publishers will wait once the ring is full"),
            fmt::format("let it go on: kill -CONT {0}; or end it: kill {0}; kill -CONT {0}",
                        gate->pid));
        return;
    }
    const PeerInfo* const before = earlier(*gate);
    if (!is_full || before == nullptr || told_.contains(gate->waits_for_pid)) return;
    const auto done = gate->cursor - before->cursor;
    add(done == 0 ? Severity::error : Severity::warning,
        fmt::format("{}, which is all that the ring has room for, and has acknowledged {} in a "
                    "second: {}",
                    has, done == 0 ? "none" : fmt::to_string(done), waits),
        fmt::format(
            "see what it does: ps -o pid,stat,time,cmd {}; whoever only looks on subscribes with "
            "--lossy, and a topic made with --full drop-oldest waits for nobody",
            gate->pid));
}

/// In memory what was overwritten is gone.
void Report::add_losing() {
    if (topic_.options.retention == Retention::disk) return;
    for (const PeerInfo& peer : topic_.subscribers) {
        const PeerInfo* const before = earlier(peer);
        const bool loses = peer.cursor + 1 < topic_.first;
        const bool lost = before != nullptr && before->cursor + 1 < facts_.before->first;
        if (!loses || !lost || is_stopped(peer.pid)) continue;
        add(Severity::warning,
            fmt::format("{} is too slow for topic '{}': {} that it has not acknowledged {} gone",
                        describe(peer), topic_.name,
                        counted(topic_.first - peer.cursor - 1, "event"),
                        topic_.first - peer.cursor == 2 ? "is" : "are"),
            "a topic on disk, or in memory with a larger --capacity, waits for slow ones");
    }
}

void Report::add_stopped() {
    for (const auto pid : facts_.stopped) {
        if (!told_.insert(pid).second) continue;
        const PeerInfo* const publisher = find(topic_.publishers, pid);
        const PeerInfo* const peer =
            publisher == nullptr ? find(topic_.subscribers, pid) : publisher;
        if (peer == nullptr) continue;
        const auto behind = publisher == nullptr
                                ? fmt::format(", {} behind", counted(lag(*peer), "event"))
                                : std::string();
        add(Severity::warning,
            fmt::format("{}, a {} of topic '{}', is stopped, by SIGSTOP or a debugger{}",
                        describe(*peer), publisher == nullptr ? "subscriber" : "publisher",
                        topic_.name, behind),
            fmt::format("let it go on: kill -CONT {}", pid));
    }
}

} // namespace

Findings findings_of_users(const TopicFacts& facts) {
    Report report(facts);
    report.add_claims();
    report.add_gate();
    report.add_losing();
    report.add_stopped();
    return std::move(report).findings();
}

} // namespace shmbus::tools::doctor
