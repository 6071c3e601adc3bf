#include "tools/torture/checker.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools::torture {

std::size_t Checker::add_topic(TopicRules rules) {
    topics_.push_back({.rules = std::move(rules)});
    return topics_.size() - 1;
}

Party Checker::add_publisher(std::size_t topic, std::string name, bool is_named) {
    members_.push_back(
        {.name = std::move(name), .topic = topic, .publishes = true, .is_named = is_named});
    return static_cast<Party>(members_.size() - 1);
}

Party Checker::add_subscriber(std::size_t topic, std::string name, bool is_durable, bool is_lossy) {
    members_.push_back(
        {.name = std::move(name), .topic = topic, .is_durable = is_durable, .is_lossy = is_lossy});
    return static_cast<Party>(members_.size() - 1);
}

void Checker::object(std::size_t topic, Sequence sequence, const std::string& what) {
    violations_.push_back({topics_.at(topic).rules.name, sequence, what});
}

bool Checker::is_excused(std::uint64_t time_ns) const noexcept {
    return std::any_of(excuses_.begin(), excuses_.end(), [&](const auto& excuse) {
        return excuse.first <= time_ns && time_ns <= excuse.second;
    });
}

void Checker::take(Party party, const Record& record) {
    if (members_.at(party).publishes)
        publisher_said(party, record);
    else
        subscriber_said(party, record);
}

std::string Checker::event_shown(Party writer, std::uint64_t id) const {
    const bool is_known = writer < members_.size() && members_[writer].publishes;
    return fmt::format("event {} of {}", id,
                       is_known ? members_[writer].name : fmt::format("nobody ({})", writer));
}

std::string Checker::shown(const Verdict& verdict) const {
    if (verdict.is == Verdict::Is::unknown) return "nobody knows what";
    const auto what =
        verdict.is == Verdict::Is::tombstone
            ? "a tombstone"
            : fmt::format("{} ({:016x})", event_shown(verdict.writer, verdict.id), verdict.digest);
    return fmt::format("{}, says {}", what, members_.at(verdict.by).name);
}

// ---- publishers --------------------------------------------------------------------------------

Checker::Intent* Checker::find(Member& publisher, std::uint64_t id) {
    const auto found = std::find_if(publisher.intents.begin(), publisher.intents.end(),
                                    [&](const Intent& intent) { return intent.id == id; });
    return found == publisher.intents.end() ? nullptr : &*found;
}

void Checker::settle(Member& publisher, std::uint64_t id) {
    std::erase_if(publisher.intents, [&](const Intent& intent) { return intent.id == id; });
}

void Checker::publisher_said(Party party, const Record& record) {
    Member& publisher = members_[party];
    switch (record.said) {
    case Said::opened: opened(party, record); return;
    case Said::intended:
        publisher.intents.push_back({record.number, record.digest});
        publisher.last_intended = std::max(publisher.last_intended, record.number);
        return;
    case Said::published: published(party, record); return;
    case Said::refused: refused(publisher, record); return;
    case Said::durable: durable(publisher, record); return;
    case Said::repeated:
        if (const auto outcome = static_cast<PublishOutcome>(record.detail);
            outcome != PublishOutcome::duplicate &&
            !(outcome == PublishOutcome::timed_out && is_excused(record.time_ns)))
            object(publisher.topic, record.sequence,
                   fmt::format("{} published event {} again: {}", publisher.name, record.number,
                               name_of(outcome)));
        return;
    default: object(publisher.topic, publisher.name + " spoke as a subscriber");
    }
}

void Checker::opened(Party party, const Record& record) {
    Member& publisher = members_[party];
    const auto bus_id = static_cast<std::uint32_t>(record.number);
    const auto [known, is_new] = topics_[publisher.topic].bus_ids.emplace(bus_id, party);
    if (known->second != party || (publisher.bus_id != 0 && publisher.bus_id != bus_id))
        object(publisher.topic, fmt::format("the bus calls {} number {}, as it did {}",
                                            publisher.name, bus_id, members_[known->second].name));
    publisher.bus_id = bus_id;
    if (!publisher.is_named) return;
    const std::uint64_t last = record.sequence;
    if (last < publisher.last_published || last > publisher.last_intended)
        object(publisher.topic,
               fmt::format("the last event of {} is {}, says the bus; it had published {}, and "
                           "begun to publish {}",
                           publisher.name, last, publisher.last_published,
                           publisher.last_intended));
    // What its life before was about to publish is there, or never will be.
    std::erase_if(publisher.intents, [&](const Intent& intent) { return intent.id > last; });
    for (Intent& intent : publisher.intents) intent.promised = true;
    publisher.last_published = publisher.last_intended = last;
    std::erase_if(publisher.intents, [](const Intent& intent) { return intent.at != 0; });
}

void Checker::published(Party party, const Record& record) {
    Member& publisher = members_[party];
    Topic& topic = topics_[publisher.topic];
    ++counts_.published;
    publisher.last_published = std::max(publisher.last_published, record.number);
    Intent* const intent = find(publisher, record.number);
    if (intent == nullptr) {
        object(publisher.topic, record.sequence, publisher.name + " published what it never had");
        return;
    }
    if (record.sequence == 0) {
        intent->promised = true;
        if (intent->at != 0) settle(publisher, record.number);
        return;
    }
    topic.last_published = std::max(topic.last_published, record.sequence);
    Verdict event{.is = Verdict::Is::event,
                  .confirmed = true,
                  .writer = party,
                  .by = party,
                  .id = intent->id,
                  .digest = intent->digest};
    const Sequence seen_at = intent->at;
    settle(publisher, record.number);
    if (!topic.truth.is_credible(record.sequence)) {
        object(publisher.topic, record.sequence, publisher.name + " got this sequence, far ahead");
        return;
    }
    Verdict* const verdict = topic.truth.at(record.sequence);
    if (verdict == nullptr) return;
    const bool agrees =
        verdict->is == Verdict::Is::unknown || verdict->is_event(party, event.id, event.digest);
    if (!agrees || (seen_at != 0 && seen_at != record.sequence))
        object(publisher.topic, record.sequence,
               fmt::format("{} was told that this is its event {} ({:016x}), seen at {}; it is {}",
                           publisher.name, event.id, event.digest, seen_at, shown(*verdict)));
    if (verdict->is == Verdict::Is::unknown) *verdict = event;
    verdict->confirmed = true;
}

void Checker::refused(Member& publisher, const Record& record) {
    ++counts_.refused;
    const TopicRules& rules = topics_[publisher.topic].rules;
    const auto outcome = static_cast<PublishOutcome>(record.detail);
    const bool never_waits = rules.options.full != FullPolicy::block;
    const bool is_late = outcome == PublishOutcome::timed_out && is_excused(record.time_ns);
    publisher.has_skipped |= is_late;
    const bool is_expected = is_late || (outcome == PublishOutcome::full && never_waits) ||
                             (outcome == PublishOutcome::pool_full && never_waits) ||
                             (outcome == PublishOutcome::closed && rules.is_removed) ||
                             outcome == PublishOutcome::revoked;
    if (!is_expected)
        object(publisher.topic, fmt::format("{} could not publish event {}: {}", publisher.name,
                                            record.number, name_of(outcome)));
    if (const Intent* intent = find(publisher, record.number); intent != nullptr && intent->at != 0)
        object(publisher.topic, intent->at,
               fmt::format("event {} of {} is here, but it was told: {}", record.number,
                           publisher.name, name_of(outcome)));
    settle(publisher, record.number);
}

void Checker::durable(const Member& publisher, const Record& record) {
    Topic& topic = topics_[publisher.topic];
    const auto said = static_cast<Durability>(record.detail);
    const bool never = !topic.rules.is_on_disk() || topic.rules.options.sync == Sync::none;
    if (said != (never ? Durability::not_durable : Durability::durable)) {
        if (topic.rules.is_removed && said == Durability::closed) return;
        if (said == Durability::timed_out && is_excused(record.time_ns)) return;
        object(publisher.topic, record.sequence,
               fmt::format("{} waited for it to be durable: {}", publisher.name, name_of(said)));
    }
    if (said != Durability::durable) return;
    ++counts_.durable;
    Verdict* const verdict =
        topic.truth.is_credible(record.sequence) ? topic.truth.at(record.sequence) : nullptr;
    if (verdict != nullptr) verdict->durable = true;
}

// ---- the end -----------------------------------------------------------------------------------

void Checker::at_end(std::size_t topic, Sequence head) {
    if (topics_[topic].last_published > head || topics_[topic].truth.newest() > head)
        object(topic, head,
               fmt::format("is its head, but {} was published, and {} seen",
                           topics_[topic].last_published, topics_[topic].truth.newest()));
    for (const Member& member : members_) {
        if (member.topic != topic || &member == &members_[0]) continue;
        if (!member.publishes && member.next != 0 && member.next != head + 1)
            object(topic, member.next,
                   fmt::format("{} ended here, and not behind {}", member.name, head));
        for (const Intent& intent : member.intents)
            if (intent.promised && topics_[topic].rules.is_on_disk())
                object(topic, fmt::format("event {} of {} was published, and nobody got it",
                                          intent.id, member.name));
    }
}

void Checker::begin_anew(std::size_t topic, Sequence head) {
    topics_[topic].kept = head;
    for (Member& member : members_)
        if (member.topic == topic) member.next = 0;
}

void Checker::at_removal(std::size_t topic) {
    const Topic& removed = topics_[topic];
    if (removed.rules.is_on_disk()) return; // there may be more in files, which nobody opens now
    for (const Member& member : members_)
        if (member.topic == topic && member.has_ended && member.next <= removed.last_published)
            object(topic, member.next,
                   fmt::format("{} was told that nothing is left, and {} was published",
                               member.name, removed.last_published));
}

} // namespace shmbus::tools::torture
