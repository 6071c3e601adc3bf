// The end of a torture: everybody leaves, everything must be there, and nothing left.
#include "tools/interrupt.hpp"
#include "tools/torture/run.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools::torture {

using namespace std::chrono_literals;

namespace {

/// What may take long: all read on to the end while the disk is busy.
constexpr auto longest_end = 120s;
// So much comes and goes: connections, sessions of the dead, batches on their way to the disk.
constexpr Usage parent_allowance{.descriptors = 4, .memory_kib = 4096};
constexpr Usage daemon_allowance{.descriptors = 16, .memory_kib = std::uint64_t{64} * 1024};

/// The parent keeps the page of a durable subscription that nobody holds any more, too.
Usage allowance_of_parent(const Cast& cast) {
    Usage allowance = parent_allowance;
    for (const Part& part : cast.parts)
        if (part.is_named && !part.publishes()) ++allowance.descriptors;
    return allowance;
}

/// The daemon opens files of a topic when they are needed: a segment, a spare, of a subscription, of publishers.
Usage allowance_of_daemon(const Cast& cast) {
    Usage allowance = daemon_allowance;
    for (const TopicRules& topic : cast.topics)
        if (topic.is_on_disk()) allowance.descriptors += 4;
    return allowance;
}

} // namespace

void Run::expect_all_to_end(bool publishers) {
    for (Actor& actor : actors_)
        if (actor.is_running() && actor.part().publishes() == publishers) actor.finish();
    const auto still_there = [&] {
        return std::find_if(actors_.begin(), actors_.end(), [&](const Actor& actor) {
            return actor.is_running() && actor.part().publishes() == publishers;
        });
    };
    for (const auto end = time() + longest_end; goes_on(); sleep_until(Clock::now() + 2ms)) {
        tend();
        const auto actor = still_there();
        if (actor == actors_.end()) return;
        if (time() > end)
            checker_.object(stages_[actor->part().topic].topic,
                            actor->part().name + " does not come to an end");
    }
}

void Run::finish() {
    end_stops(Clock::time_point::max());
    act_ = Act::read_on; // whoever was killed last begins again, but for publishers
    expect_all_to_end(true);
    // What the last of them had begun is a tombstone by then.
    for (const auto end = time() + longest_end; goes_on();) {
        const auto topics = ask(false, [&] { return bus_->topics(); });
        const auto busy = std::find_if(topics->begin(), topics->end(), [](const TopicInfo& topic) {
            return topic.publisher_count != 0;
        });
        if (busy == topics->end()) break;
        if (time() > end)
            checker_.object(fmt::format("publishers of {} are dead, and not gone", busy->name));
        tend();
        sleep_until(Clock::now() + 10ms);
    }
    act_ = Act::leave;
    expect_all_to_end(false);
    if (goes_on()) check_heads();
    if (goes_on()) check_usage();
    if (goes_on()) await_files();
    if (goes_on()) read_again_after_a_death();
}

void Run::check_heads() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        if (stages_[i].is_closed()) continue;
        // Those in memory have gone with the bus.
        const auto topic = ask(true, [&] { return bus_->topic(cast_.topics[i].name); });
        if (topic) checker_.at_end(stages_[i].topic, topic->head);
    }
}

/// Returns when nothing of what was published is in memory alone.
void Run::await_files() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        const TopicRules& rules = cast_.topics[i];
        if (stages_[i].is_closed() || !rules.is_on_disk()) continue;
        for (const auto end = time() + longest_end;; sleep_until(Clock::now() + 10ms)) {
            const auto topic = ask(false, [&] { return bus_->topic(rules.name); });
            const Sequence kept =
                rules.options.sync == Sync::none ? topic->written : topic->durable;
            if (kept >= topic->head) {
                checker_.begin_anew(stages_[i].topic, topic->head);
                break;
            }
            if (time() < end) continue;
            checker_.object(stages_[i].topic,
                            fmt::format("{} to {} do not get to the disk", kept + 1, topic->head));
            return;
        }
    }
}

/// Whether the parent and the daemon have again what they had.
void Run::check_usage() {
    std::string grown;
    const auto look = [&] {
        const auto parent = usage_of(daemon_.pid());
        const auto daemon = usage_of(daemon_.worker());
        grown = parent ? growth(usage_[0], *parent, allowance_of_parent(cast_)) : "ended";
        if (!grown.empty()) grown = "the daemon's parent has " + grown;
        if (!grown.empty() || !daemon) return grown.empty();
        grown = growth(usage_[1], *daemon, allowance_of_daemon(cast_));
        if (!grown.empty()) grown = "the daemon has " + grown;
        return grown.empty();
    };
    for (const auto end = time() + patience; !look(); sleep_until(Clock::now() + 10ms))
        if (time() > end) {
            checker_.object(grown);
            return;
        }
}

/// The whole bus is killed. Nobody has anything that was in memory; what was on disk is read once more.
void Run::read_again_after_a_death() {
    bus_.reset();
    daemon_.kill();
    daemon_.start();
    bus_.emplace(BusOptions{.socket = daemon_.socket()});
    actors_.clear();
    for (const Part& part : cast_.parts) {
        const Stage& stage = stages_[part.topic];
        if (!part.is_spared || !cast_.topics[part.topic].is_on_disk() || stage.is_closed())
            continue;
        Actor& actor = actors_.emplace_back(part);
        actor.be(checker_.add_subscriber(stage.topic, "a subscriber after the bus was killed"));
        start(actor);
    }
    expect_all_to_end(false);
    if (goes_on()) check_heads();
    const auto topics = ask(false, [&] { return bus_->topics(); });
    for (const auto& topic : *topics)
        ask(true, [&] {
            bus_->remove_topic(topic.name, true);
            return true;
        });
    bus_.reset();
    if (goes_on() && !daemon_.stop()) checker_.object("the daemon did not end in good order");
}

} // namespace shmbus::tools::torture
