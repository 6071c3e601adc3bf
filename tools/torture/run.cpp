#include "tools/torture/run.hpp"

#include "tools/interrupt.hpp"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>

namespace shmbus::tools::torture {

using namespace std::chrono_literals;

namespace {

constexpr auto round_time = 2ms;
constexpr auto aftermath = 100ms; // of what was stopped

/// As in records.
std::uint64_t ns_of(std::chrono::steady_clock::time_point time) {
    return static_cast<std::uint64_t>(time.time_since_epoch() / 1ns);
}

} // namespace

Run::Run(OwnBus& daemon, std::uint64_t seed, std::function<void(const std::string&)> tell)
    : daemon_(daemon), tell_(std::move(tell)), schedule_(seed), random_(~seed) {
    bus_.emplace(BusOptions{.socket = daemon_.socket()});
    for (const Part& part : cast_.parts) actors_.emplace_back(part);
}

/// Without what torture itself was absent for, which is noticed here: all that anybody is given time for goes by it.
Run::Clock::time_point Run::time() {
    if (const auto absence = vigil_.look(Clock::now())) {
        const auto [from, until] = *absence;
        checker_.excuse(ns_of(from), ns_of(until + longest_wait));
        silence_.excused(Target::daemon, 0, ns_of(until + aftermath));
        tell_(fmt::format("torture itself stood still for {:.1f} s",
                          std::chrono::duration<double>(until - from).count()));
    }
    return vigil_.time();
}

// ---- topics and their actors -------------------------------------------------------------------

/// Makes the topic, and new parties for all who play in it.
void Run::open(std::size_t index) {
    const TopicRules& rules = cast_.topics[index];
    ask(false, [&] { return bus_->create_topic_if_missing(rules.name, rules.options); });
    stages_[index] = {.topic = checker_.add_topic(rules)};
    const std::size_t topic = stages_[index].topic;
    for (Actor& actor : actors_) {
        const Part& part = actor.part();
        if (part.topic != index) continue;
        if (!part.publishes())
            actor.be(checker_.add_subscriber(topic, part.name, part.is_named, part.is_lossy));
        else if (part.is_named)
            actor.be(checker_.add_publisher(topic, part.name, true));
    }
}

/// Removes it under those who use it.
void Run::close(std::size_t index) {
    ask(true, [&] {
        bus_->remove_topic(cast_.topics[index].name, true);
        return true;
    });
    stages_[index].closed = time();
    ++tally_.renewals;
}

void Run::reopen_what_is_empty() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        Stage& stage = stages_[i];
        if (!stage.is_closed()) continue;
        const auto left = std::find_if(actors_.begin(), actors_.end(), [&](const Actor& actor) {
            return actor.part().topic == i && actor.is_running();
        });
        if (left != actors_.end()) {
            if (time() - stage.closed > time_to_leave)
                checker_.object(stage.topic,
                                left->part().name + " did not notice that it was removed");
            continue;
        }
        if (!std::exchange(stage.is_over, true)) checker_.at_removal(stage.topic);
        if (act_ == Act::play && !daemon_is_stopped()) open(i);
    }
}

/// Then nobody would answer, and nobody end that.
bool Run::daemon_is_stopped() const noexcept {
    return std::any_of(stops_.begin(), stops_.end(),
                       [](const Stop& stop) { return stop.actor == nullptr; });
}

Task Run::task_for(Actor& actor) {
    const Part& part = actor.part();
    const TopicRules& rules = cast_.topics[part.topic];
    if (part.publishes() && !part.is_named) // another one each time, to everybody
        actor.be(checker_.add_publisher(stages_[part.topic].topic, part.name));
    Task task;
    task.role = part.publishes() ? Role::publisher : Role::subscriber;
    task.may_be_removed = rules.is_removed;
    task.seed = random_();
    task.writer = actor.party();
    task.largest = rules.options.max_event;
    task.is_exclusive = part.is_exclusive;
    task.may_batch = !part.is_named && rules.options.full == FullPolicy::block;
    task.is_late = part.is_late;
    task.is_lossy = part.is_lossy;
    task.socket.set(daemon_.socket());
    task.topic.set(rules.name);
    if (part.is_named) task.name.set(part.name);
    return task;
}

void Run::start(Actor& actor) {
    actor.start(task_for(actor));
    if (act_ == Act::leave) actor.finish();
}

/// Takes what everybody has said, and starts those again that have ended.
void Run::tend() {
    drain();
    for (Actor& actor : actors_) {
        const auto end = actor.end();
        if (!end) continue;
        drain(); // its last words
        if (!end->empty() && !checker_.is_excused(actor.waited_in_vain()))
            checker_.object(stages_[actor.part().topic].topic,
                            fmt::format("{} ended: {}", actor.part().name, *end));
    }
    reopen_what_is_empty();
    for (Actor& actor : actors_) {
        const Stage& stage = stages_[actor.part().topic];
        const bool may_play = act_ == Act::play || !actor.part().publishes();
        if (actor.is_running() || actor.was_told_to_finish() || !may_play || stage.is_closed())
            continue;
        if (actor.part().is_spared || stage.has_watcher) start(actor);
    }
}

void Run::drain() {
    // What subscribers got was intended before that: these first, but no more of those.
    std::vector<std::uint64_t> ends(actors_.size());
    for (const bool publishers : {false, true})
        for (std::size_t i = 0; i < actors_.size(); ++i)
            if (Actor& actor = actors_[i];
                actor.part().publishes() == publishers && actor.channel() != nullptr)
                ends[i] = actor.channel()->written();
    (void)time(); // what anybody says of an absence is judged when that is known
    for (const bool publishers : {true, false})
        for (std::size_t i = 0; i < actors_.size(); ++i) {
            Actor& actor = actors_[i];
            if (actor.part().publishes() != publishers || actor.channel() == nullptr) continue;
            actor.channel()->drain(ends[i], [&](const Record& record) { take(actor, record); });
        }
}

void Run::take(const Actor& actor, const Record& record) {
    checker_.take(actor.party(), record);
    if (!actor.part().is_spared) return;
    Stage& stage = stages_[actor.part().topic];
    if (record.said == Said::subscribed) stage.has_watcher = true;
    // Those that are removed are silent until they are there again, and all of them at the end.
    const bool tells = act_ == Act::play && !cast_.topics[actor.part().topic].is_removed;
    if (record.said == Said::delivered && tells)
        silence_.delivered(actor.part().topic, record.time_ns);
}

// ---- what is done to them ----------------------------------------------------------------------

/// @pre it is not the daemon's turn
Actor& Run::victim(const Deed& deed) {
    std::vector<Actor*> candidates;
    for (Actor& actor : actors_) {
        const bool is_spared = deed.kind == Deed::Kind::kill && actor.part().is_spared;
        if (actor.part().target == deed.target && !is_spared) candidates.push_back(&actor);
    }
    return *candidates.at(deed.whom % candidates.size());
}

std::string Run::text_of(const Deed& deed) {
    const auto of_removed = [&] {
        std::vector<std::string> names;
        for (const auto& topic : cast_.topics)
            if (topic.is_removed) names.push_back(topic.name);
        return names.at(deed.whom % names.size());
    };
    std::string whom = "daemon";
    if (deed.kind == Deed::Kind::renew)
        whom = of_removed();
    else if (deed.target != Target::daemon)
        whom = fmt::format("{}/{}", cast_.topics[victim(deed).part().topic].name,
                           victim(deed).part().name);
    const auto at = static_cast<double>(deed.at.count()) / 1e3;
    switch (deed.kind) {
    case Deed::Kind::kill: return fmt::format("{:8.3f} s  kill {}", at, whom);
    case Deed::Kind::stop:
        return fmt::format("{:8.3f} s  stop {} for {} ms", at, whom, deed.how_long.count());
    case Deed::Kind::renew: return fmt::format("{:8.3f} s  remove {}", at, whom);
    }
    return {};
}

void Run::carry_out(const Deed& deed) {
    tell_(text_of(deed));
    switch (deed.kind) {
    case Deed::Kind::kill: kill(deed); return;
    case Deed::Kind::stop: stop(deed); return;
    case Deed::Kind::renew: break;
    }
    if (daemon_is_stopped()) return;
    std::vector<std::size_t> removed;
    for (std::size_t i = 0; i < cast_.topics.size(); ++i)
        if (cast_.topics[i].is_removed) removed.push_back(i);
    const std::size_t index = removed.at(deed.whom % removed.size());
    if (stages_[index].has_watcher && !stages_[index].is_closed()) close(index);
}

void Run::kill(const Deed& deed) {
    std::size_t topic = 0;
    if (deed.target == Target::daemon) {
        const pid_t pid = daemon_.worker();
        if (pid == 0) return;
        ::kill(pid, SIGKILL);
    } else {
        Actor& actor = victim(deed);
        if (!actor.is_running()) return;
        actor.kill();
        topic = actor.part().topic;
    }
    silence_.killed(deed.target, topic, monotonic_ns());
    ++tally_.kills.at(static_cast<std::size_t>(deed.target));
}

void Run::stop(const Deed& deed) {
    Stop stop{.until = Clock::now() + deed.how_long, .actor = nullptr, .daemon = 0};
    std::size_t topic = 0;
    if (deed.target == Target::daemon) {
        stop.daemon = daemon_.worker();
        if (stop.daemon == 0) return;
        ::kill(stop.daemon, SIGSTOP);
    } else {
        Actor& actor = victim(deed);
        if (!actor.is_running() || actor.is_stopped()) return;
        // One that sees everything must not be evicted.
        if (actor.part().is_spared) stop.until = Clock::now() + deed.how_long / 4;
        stop.actor = &actor;
        actor.stop();
        topic = actor.part().topic;
    }
    silence_.excused(deed.target, topic, ns_of(stop.until + aftermath));
    stops_.push_back(stop);
    ++tally_.stops.at(static_cast<std::size_t>(deed.target));
}

void Run::end_stops(Clock::time_point now) {
    std::erase_if(stops_, [&](const Stop& stop) {
        if (stop.until > now) return false;
        if (stop.actor == nullptr)
            ::kill(stop.daemon, SIGCONT);
        else if (stop.actor->is_running())
            stop.actor->go_on();
        return true;
    });
}

// ---- the whole ---------------------------------------------------------------------------------

void Run::play(std::chrono::nanoseconds duration, const std::function<void()>& each_second) {
    for (std::size_t i = 0; i < stages_.size(); ++i) open(i);
    usage_ = {usage_of(daemon_.pid()).value_or(Usage{}),
              usage_of(daemon_.worker()).value_or(Usage{})};
    const auto begin = time();
    auto second = begin;
    Deed deed = schedule_.next();
    // Where one round takes long (many events, a sanitizer) what was due meanwhile is done all the same.
    for (bool is_last = false; goes_on() && !is_last;) {
        const auto now = time();
        is_last = now >= begin + duration;
        tally_.lasted = std::chrono::floor<std::chrono::milliseconds>(now - begin);
        tend();
        end_stops(Clock::now());
        for (; goes_on() && begin + deed.at <= now && deed.at <= duration; deed = schedule_.next())
            carry_out(deed);
        if (now >= second) {
            each_second();
            second = now + 1s;
        }
        sleep_until(Clock::now() + round_time);
    }
    if (goes_on()) finish();
}

} // namespace shmbus::tools::torture
