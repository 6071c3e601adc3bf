#include "tools/doctor/examination.hpp"

#include "tools/interrupt.hpp"
#include "tools/output.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace shmbus::tools::doctor {

using namespace std::chrono_literals;

namespace {

/// That of a bus that has units.
Service service_of(const SocketFacts& socket) {
    if (socket.whose == Whose::somebodys || socket.path.empty()) return {};
    return {"shmbusd.service", socket.whose == Whose::users};
}

void meet_daemon(Examination& all, const BusOptions& options) {
    knock_at(all.socket);
    if (!all.socket.is_listened_at()) return;
    all.greeting = greet(options);
    all.daemon = look_at_daemon(listener_at(all.socket.path), all.socket.path);
    if (!all.greeting.refusal || all.greeting.refusal->code != Errc::no_daemon) return;
    // It has gone since, and may have taken the socket along.
    all.greeting.refusal.reset();
    all.socket = look_at_socket(options);
    knock_at(all.socket);
}

/// A service of another name may run it; or the daemon only comes from a process of a service, which then does
/// not keep anything for it.
void look_for_its_service(Examination& all) {
    const Service named = all.daemon.service;
    if (named.name.empty()) return;
    auto looked = named == service_of(all.socket) ? all.units : look_at_units(named);
    const auto& process = all.daemon.process;
    const auto& units = looked.units;
    if (units && !units->run(process.pid) && !units->run(process.parent))
        all.daemon.service = {};
    else
        all.units = std::move(looked);
}

/// Nothing if it has been removed meanwhile.
std::optional<TopicInfo> topic_now(Examination& all, const std::string& name) {
    try {
        return all.greeting.bus->topic(name);
    } catch (const Error& error) {
        if (error.code() == Errc::no_such_topic) return std::nullopt;
        if (error.code() != Errc::damaged) throw;
        all.on_the_way.push_back(unavailable(all.disk, name, error.what()));
        return std::nullopt;
    }
}

std::optional<std::vector<SubscriptionInfo>> subscriptions_of(Bus& bus, const TopicInfo& topic) {
    try {
        return bus.subscriptions(topic.name);
    } catch (const Error& error) {
        if (error.code() != Errc::no_such_topic) throw;
        return std::nullopt;
    }
}

/// Nothing if it has been removed meanwhile.
std::vector<Incident> incidents_of_last_hour(Bus& bus, const TopicInfo& topic) {
    try {
        auto incidents = bus.incidents(topic.name);
        const auto since = std::chrono::system_clock::now() - 1h;
        std::erase_if(incidents, [&](const Incident& incident) { return incident.time < since; });
        return incidents;
    } catch (const Error& error) {
        if (error.code() != Errc::no_such_topic) throw;
        return {};
    }
}

/// Nobody if the daemon means other processes by their numbers than we do.
std::set<std::uint32_t> stopped_users_in(const Examination& all, const TopicInfo& topic) {
    return all.daemon.shares_our_pids ? stopped_users_of(topic) : std::set<std::uint32_t>();
}

/// Those that one look does not tell enough of, once more.
void look_again(Examination& all) {
    const bool is_needed =
        std::any_of(all.details.begin(), all.details.end(),
                    [](const TopicFacts& topic) { return needs_another_look(topic.now); });
    if (!is_needed) return;
    sleep_until(std::chrono::steady_clock::now() + 1s);
    for (auto& topic : all.details) {
        if (!needs_another_look(topic.now)) continue;
        auto now = topic_now(all, topic.now.name);
        if (!now || now->uuid != topic.now.uuid) continue;
        topic.before = std::exchange(topic.now, std::move(*now));
        topic.stopped = stopped_users_in(all, topic.now);
    }
}

void look_at_topics(Examination& all) {
    all.topics = all.greeting.bus->topics();
    for (const auto& topic : all.topics) {
        auto now = topic_now(all, topic.name);
        if (!now) continue;
        auto stopped = stopped_users_in(all, *now);
        auto subscriptions = subscriptions_of(*all.greeting.bus, *now);
        auto incidents = incidents_of_last_hour(*all.greeting.bus, *now);
        all.details.push_back({std::move(*now),
                               {},
                               std::move(subscriptions),
                               std::move(stopped),
                               std::move(incidents)});
    }
    look_again(all);
}

/// The directory of any topic on disk tells where all of them are.
std::string directory_of_a_topic(Examination& all) {
    for (const auto& topic : all.topics) {
        if (topic.options.retention != Retention::disk) continue;
        if (const auto now = topic_now(all, topic.name)) return now->directory;
    }
    return {};
}

/// What was removed while the disk was looked at has no directory there, and that is right.
void forget_removed(Examination& all) {
    std::set<std::string> listed;
    for (const auto& topic : all.greeting.bus->topics()) listed.insert(topic.name);
    std::erase_if(all.topics, [&](const TopicInfo& one) { return !listed.contains(one.name); });
}

/// What can be asked of the daemon; as much of it as it answers.
void question_daemon(Examination& all) {
    std::string directory;
    try {
        if (all.greeting.bus) {
            look_at_topics(all);
            directory = directory_of_a_topic(all);
        }
        all.disk = look_at_disk(state_directory_of(all.socket.path, directory));
        if (!all.greeting.bus) return;
        forget_removed(all);
        for (const auto& name : unlisted(all.disk, all.topics)) (void)topic_now(all, name);
    } catch (const Error& error) {
        all.on_the_way.push_back(finding_of({error.code(), error.what()}));
    }
}

std::string how_to_start(const Examination& all) {
    if (all.socket.whose == Whose::somebodys)
        return fmt::format("shmbusd --supervise --socket {} &", quoted(all.socket.path));
    const bool is_users = all.socket.whose == Whose::users;
    if (all.units.units && all.units.units->are_installed())
        return fmt::format("systemctl {}enable --now shmbusd.socket", is_users ? "--user " : "");
    return fmt::format("shmbusd --supervise {} &", is_users ? "--user" : "--system");
}

Findings what_is_not_seen(const Examination& all) {
    std::vector<std::string> unseen;
    if (all.socket.is_listened_at() && !all.daemon.is_known() && !all.daemon.is_held() &&
        !all.greeting.refusal)
        unseen.emplace_back("the daemon's process");
    if (all.daemon.is_known() && !all.daemon.open_files)
        unseen.emplace_back("how many files the daemon has open");
    if (all.daemon.is_known() && !all.daemon.program) unseen.emplace_back("which program it runs");
    if (all.disk.is_hidden_from(all.user.id))
        unseen.push_back((all.disk.is_visible ? "what topics have in " : "the disk of ") +
                         all.disk.directory);
    if (all.units.in_vain) unseen.emplace_back("systemd's units");
    if (unseen.empty()) return {};
    return {{Severity::note, "sight",
             fmt::format("user {} does not get to see {}", all.user.id, fmt::join(unseen, ", ")),
             all.user.id == 0
                 ? ""
                 : fmt::format("sudo shmbus --socket {} doctor", quoted(all.socket.path))}};
}

std::uint64_t memory_of(const std::vector<TopicInfo>& topics) {
    return std::accumulate(
        topics.begin(), topics.end(), std::uint64_t{0},
        [](std::uint64_t sum, const TopicInfo& topic) { return sum + topic.memory_bytes; });
}

std::uint64_t memory_topics_of(const std::vector<TopicInfo>& topics) {
    return static_cast<std::uint64_t>(
        std::count_if(topics.begin(), topics.end(), [](const TopicInfo& topic) {
            return topic.options.retention == Retention::memory;
        }));
}

} // namespace

Examination examine(const Context& context) {
    Examination all{.socket = look_at_socket(context.bus)};
    all.user = current_user();
    all.host = look_at_host();
    all.units = look_at_units(service_of(all.socket));
    if (!all.units.units || !all.units.units->would_be_tried_again()) meet_daemon(all, context.bus);
    look_for_its_service(all);
    question_daemon(all);
    return all;
}

Findings findings_of(const Examination& all, const std::string& self, const std::string& version) {
    Findings findings = findings_of(all.socket, how_to_start(all));
    add(findings, findings_of(all.daemon, memory_topics_of(all.topics)));
    // One that is stopped does not answer: nothing else is wrong with access.
    if (!all.daemon.is_held()) add(findings, findings_of(all.greeting, all.user, version));
    if (all.units.units)
        add(findings,
            findings_of(*all.units.units,
                        all.daemon.is_known() ? std::optional(all.daemon.process) : std::nullopt));
    add(findings, findings_of(all.host, memory_of(all.topics)));
    add(findings, findings_of(all.disk, all.topics, all.user.id));
    for (const auto& topic : all.details) add(findings, findings_of(topic, self));
    add(findings, all.on_the_way);
    add(findings, what_is_not_seen(all));
    put_worst_first(findings);
    return findings;
}

std::string checked_in(const Examination& all) {
    std::string text = "checked ";
    text += all.socket.path.empty()
                ? "the socket"
                : fmt::format("{} ({})", printable(all.socket.path), all.socket.chosen_by);
    if (all.daemon.is_known()) text += fmt::format(", the daemon (pid {})", all.daemon.process.pid);
    if (all.greeting.bus || all.greeting.refusal) text += ", access";
    if (all.units.units) text += ", units";
    text += ", the host";
    if (all.disk.is_visible) text += ", the disk of " + printable(all.disk.directory);
    if (all.greeting.bus) text += ", " + counted(all.topics.size(), "topic");
    return text;
}

bool lacks_daemon(const Examination& all) noexcept {
    if (all.greeting.refusal)
        return exit_code_of(all.greeting.refusal->code) == ExitCode::no_daemon;
    const auto& error = all.socket.error;
    return !all.socket.path.empty() &&
           (!error || error == ENOENT || error == ENOTDIR || error == ECONNREFUSED);
}

} // namespace shmbus::tools::doctor
