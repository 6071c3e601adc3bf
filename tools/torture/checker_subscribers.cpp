// What subscribers say, held against what is known.
#include "tools/torture/checker.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools::torture {

void Checker::subscriber_said(Party party, const Record& record) {
    Member& subscriber = members_[party];
    switch (record.said) {
    case Said::subscribed: subscribed(subscriber, record); return;
    case Said::delivered: delivered(party, record); return;
    case Said::torn:
        object(subscriber.topic, record.sequence,
               fmt::format("{} got a torn event, {}", subscriber.name,
                           event_shown(record.writer, record.number)));
        advance(subscriber, record.sequence, record.sequence);
        return;
    case Said::discarded:
        ++counts_.discarded;
        ++subscriber.holes;
        advance(subscriber, record.sequence, record.sequence);
        return;
    case Said::gap: gap(party, record); return;
    case Said::acknowledging: subscriber.acknowledging = record.sequence; return;
    case Said::acknowledged: subscriber.acknowledged = record.sequence; return;
    case Said::stuck:
        if (is_excused(record.time_ns)) return;
        object(subscriber.topic, record.sequence,
               fmt::format("{} waits for this one, and {} are published", subscriber.name,
                           record.number));
        return;
    case Said::ended: ended(subscriber, record); return;
    default: object(subscriber.topic, subscriber.name + " spoke as a publisher");
    }
}

void Checker::subscribed(Member& subscriber, const Record& record) {
    // Where a holder begins counts as its acknowledgement of all before.
    const bool goes_on = subscriber.is_durable && subscriber.acknowledging != 0;
    const Sequence least = goes_on ? subscriber.acknowledged + 1 : 0;
    const Sequence most = goes_on ? subscriber.acknowledging + 1 : record.number;
    if (record.sequence < least || record.sequence > most)
        object(subscriber.topic, record.sequence,
               fmt::format("{} begins here, but has to between {} and {}{}", subscriber.name, least,
                           most, goes_on ? ", as it has acknowledged" : ""));
    if (goes_on && record.sequence < subscriber.next)
        counts_.repeated += subscriber.next - record.sequence;
    subscriber.next = record.sequence;
    subscriber.acknowledging = subscriber.acknowledged = record.sequence - 1;
    subscriber.seen.clear();
    subscriber.unprotected = record.head;
    subscriber.has_ended = false;
}

/// Whether `first` is the one that is next.
bool Checker::advance(Member& subscriber, Sequence first, Sequence last) {
    const bool is_next = first == subscriber.next && last >= first;
    if (!is_next)
        object(subscriber.topic, first,
               fmt::format("{} got {} to {}, and {} is next", subscriber.name, first, last,
                           subscriber.next));
    subscriber.next = last + 1;
    return is_next;
}

/// Whether the event comes behind those that its publisher sent before.
void Checker::follow(Member& subscriber, const Record& record) {
    LastSeen& last = subscriber.seen[record.writer];
    const Member& writer = members_[record.writer];
    const bool is_dense =
        writer.is_named && !writer.has_skipped && last.id != 0 && last.holes == subscriber.holes;
    if (record.number <= last.id || (is_dense && record.number != last.id + 1))
        object(subscriber.topic, record.sequence,
               fmt::format("{} got {} behind event {}", subscriber.name,
                           event_shown(record.writer, record.number), last.id));
    last = {record.number, subscriber.holes};
}

void Checker::delivered(Party party, const Record& record) {
    Member& subscriber = members_[party];
    Topic& topic = topics_[subscriber.topic];
    ++counts_.delivered;
    advance(subscriber, record.sequence, record.sequence);
    const bool is_known = record.writer < members_.size() && members_[record.writer].publishes &&
                          members_[record.writer].topic == subscriber.topic;
    if (!is_known || members_[record.writer].bus_id != record.publisher) {
        object(subscriber.topic, record.sequence,
               fmt::format("{} got {}, publisher {}, who is none of this topic", subscriber.name,
                           event_shown(record.writer, record.number), record.publisher));
        return;
    }
    follow(subscriber, record);
    if (!topic.truth.is_credible(record.sequence)) {
        object(subscriber.topic, record.sequence, subscriber.name + " got an event, far ahead");
        return;
    }
    if (Verdict* verdict = topic.truth.at(record.sequence)) agree(party, record, *verdict);
}

void Checker::agree(Party party, const Record& record, Verdict& verdict) {
    const Member& subscriber = members_[party];
    Member& writer = members_[record.writer];
    if (verdict.is != Verdict::Is::unknown) {
        if (!verdict.is_event(record.writer, record.number, record.digest))
            object(subscriber.topic, record.sequence,
                   fmt::format("{} got {} ({:016x}); it is {}", subscriber.name,
                               event_shown(record.writer, record.number), record.digest,
                               shown(verdict)));
        verdict.delivered = true;
        return;
    }
    Intent* const intent = find(writer, record.number);
    if (intent == nullptr || intent->digest != record.digest || intent->at != 0) {
        object(subscriber.topic, record.sequence,
               fmt::format("{} got {} ({:016x}), which {}", subscriber.name,
                           event_shown(record.writer, record.number), record.digest,
                           intent == nullptr ? "was not sent, or is somewhere else"
                           : intent->at != 0 ? fmt::format("is at {}, too", intent->at)
                                             : "was sent otherwise"));
        return;
    }
    intent->at = record.sequence;
    verdict = {.is = Verdict::Is::event,
               .confirmed = intent->promised,
               .delivered = true,
               .writer = record.writer,
               .by = party,
               .id = record.number,
               .digest = record.digest};
    if (intent->promised) settle(writer, record.number);
}

/// What only this one does not get.
bool Checker::may_miss(const Member& subscriber, const Record& gap) const {
    const TopicRules& rules = topics_[subscriber.topic].rules;
    const auto reason = static_cast<GapReason>(gap.detail);
    if (reason == GapReason::lost) return gap.sequence > topics_[subscriber.topic].kept;
    if (rules.is_on_disk())
        return reason == GapReason::expired &&
               (rules.options.keep_bytes != 0 || rules.options.keep_events != 0);
    if (rules.options.full == FullPolicy::drop_oldest) return reason == GapReason::overrun;
    // Publishers wait for it, but not for long, nor with what came before it was there.
    return reason == GapReason::evicted ||
           (reason == GapReason::overrun &&
            (subscriber.is_lossy || gap.sequence <= subscriber.unprotected));
}

void Checker::gap(Party party, const Record& record) {
    Member& subscriber = members_[party];
    const auto reason = static_cast<GapReason>(record.detail);
    if (!advance(subscriber, record.sequence, record.number)) return;
    if (record.detail < counts_.gaps.size())
        counts_.gaps[record.detail] += record.number - record.sequence + 1;
    if (reason == GapReason::aborted) {
        tombstones(party, record);
        return;
    }
    ++subscriber.holes;
    if (reason == GapReason::evicted) subscriber.unprotected = record.head; // it joins again
    if (!may_miss(subscriber, record))
        object(subscriber.topic, record.sequence,
               fmt::format("{} has a gap up to {}: {}", subscriber.name, record.number,
                           name_of(reason)));
}

void Checker::tombstones(Party party, const Record& record) {
    const Member& subscriber = members_[party];
    Truth& truth = topics_[subscriber.topic].truth;
    if (!truth.is_credible(record.number)) {
        object(subscriber.topic, record.sequence,
               fmt::format("{} has a gap up to {}, far ahead", subscriber.name, record.number));
        return;
    }
    for (Sequence s = record.sequence; s <= record.number; ++s) {
        Verdict* const verdict = truth.at(s);
        if (verdict == nullptr) continue;
        if (verdict->is == Verdict::Is::event)
            object(subscriber.topic, s,
                   fmt::format("{} got a tombstone; it is {}", subscriber.name, shown(*verdict)));
        if (verdict->is == Verdict::Is::unknown)
            *verdict = {.is = Verdict::Is::tombstone, .by = party};
    }
}

void Checker::ended(Member& subscriber, const Record& record) {
    subscriber.has_ended = true;
    if (!topics_[subscriber.topic].rules.is_removed)
        object(subscriber.topic, record.sequence,
               subscriber.name + " was told that its topic is removed");
}

} // namespace shmbus::tools::torture
