#include "tools/letters.hpp"

#include "tools/interrupt.hpp"
#include "tools/output.hpp"

#include <fmt/format.h>

namespace shmbus::tools {

using namespace std::chrono_literals;

namespace {

/// A publisher that is stopped in the middle of an event is given up sooner.
constexpr auto patience = 10s;

std::string name_of_letters(const std::string& topic) {
    return topic + std::string(dead_letter_suffix);
}

} // namespace

std::string text_of(const Identity& identity) {
    return fmt::format("{}:{}", identity.topic, identity.sequence);
}

Record Letter::original() const {
    Record record{.topic = about.original.topic,
                  .sequence = about.original.sequence,
                  .time = about.time,
                  .key = key,
                  .type = type,
                  .publisher = about.publisher,
                  .id = id,
                  .correlation = correlation,
                  .parent_id = parent_id,
                  .trace_flags = trace_flags,
                  .payload = payload};
    if (about.cause) record.cause = Cause{about.cause->topic, about.cause->sequence};
    for (const auto& [name, value] : headers) record.headers.push_back({name, value});
    return record;
}

Letters::Letters(const Context& context, Bus& bus, const std::string& topic)
    : context_(context), bus_(bus), topic_(topic), name_(name_of_letters(topic)) {
    if (!is_valid_name(name_))
        throw Failure(
            ExitCode::usage,
            fmt::format("topic '{}' has no dead letters: its name is too long for it", topic));
}

/// Nothing: there is no topic of letters yet.
std::optional<Subscription> Letters::subscribe(const Start& start) {
    try {
        return bus_.subscribe(name_, {.start = start, .lossy = true, .auto_acknowledge = false});
    } catch (const Error& error) {
        if (error.code() != Errc::no_such_topic) throw;
    }
    on_topic_there(context_, topic_, [&] { return bus_.topic(topic_); });
    if (topic_.ends_with(dead_letter_suffix)) {
        const auto of = topic_.substr(0, topic_.size() - dead_letter_suffix.size());
        note(fmt::format(
            "topic '{0}' has no letters of its own; those of topic '{1}': {2} dlq ls {1}", topic_,
            of, context_.self()));
    }
    return {};
}

void Letters::walk(const Start& start, const std::function<bool(Event&)>& on_event,
                   const std::function<void(const Gap&)>& on_gap) {
    auto subscription = subscribe(start);
    if (!subscription) return;
    const OnInterrupt guard(*subscription);
    const Sequence last = subscription->head();
    while (subscription->position() <= last) {
        if (interrupted()) throw Interrupted();
        auto received = subscription->receive(patience);
        if (auto* const event = std::get_if<Event>(&received)) {
            if (!on_event(*event)) return;
        } else if (const auto* const gap = std::get_if<Gap>(&received)) {
            on_gap(*gap);
        } else if (const auto nothing = std::get<Nothing>(received);
                   nothing != Nothing::interrupted) {
            throw Failure(nothing == Nothing::timed_out ? ExitCode::timed_out : ExitCode::not_found,
                          fmt::format("topic '{}': event {} does not come: {}", name_,
                                      subscription->position(), name_of(nothing)));
        }
    }
}

std::optional<Letter> Letters::take(Event& event, bool whole) const {
    auto about = read_dead_letter(event);
    if (!about || about->original.topic != topic_) return {};
    Letter letter{.number = event.sequence(),
                  .set_aside = event.time(),
                  .about = std::move(*about),
                  .key = std::string(event.key()),
                  .type = event.type(),
                  .id = event.id(),
                  .correlation = event.correlation(),
                  .parent_id = event.parent_id(),
                  .trace_flags = event.trace_flags(),
                  .bytes = event.payload().size(),
                  .headers = {},
                  .payload = {},
                  .settled = {}};
    if (whole) {
        for (auto i = letter.about.first_header; const auto header = event.header(i); ++i)
            letter.headers.emplace_back(header->name, header->value);
        letter.payload = event.text();
    }
    if (event.release() == Released::revoked) return {};
    return letter;
}

std::map<Sequence, Letter> Letters::list() {
    std::map<Sequence, Letter> letters;
    std::uint64_t strangers = 0;
    const auto take_event = [&](Event& event) {
        if (auto settled = read_settled_letter(event)) {
            const auto found = letters.find(settled->letter.sequence);
            if (settled->letter.topic == name_ && found != letters.end())
                found->second.settled = std::move(settled);
        } else if (auto letter = take(event, false)) {
            letters.emplace(letter->number, std::move(*letter));
        } else {
            ++strangers;
        }
        return true;
    };
    walk(Start::all(), take_event, [&](const Gap& gap) {
        if (gap.reason != GapReason::aborted)
            note(fmt::format("gap: topic '{}': no events {} to {}: {}", name_, gap.first, gap.last,
                             name_of(gap.reason)));
    });
    if (strangers != 0)
        note(fmt::format("topic '{}': {} of topic '{}'; to see all that is in it: {} sub {} "
                         "--from all",
                         name_,
                         strangers == 1 ? "1 event is no letter"
                                        : counted(strangers, "event") + " are no letters",
                         topic_, context_.self(), name_));
    return letters;
}

Letter Letters::whole(Sequence number) {
    std::optional<Letter> found;
    const auto take_event = [&](Event& event) {
        if (event.sequence() == number) {
            found = take(event, true);
        } else if (found) {
            auto settled = read_settled_letter(event);
            if (settled && settled->letter == Identity{name_, number})
                found->settled = std::move(settled);
        }
        return found.has_value();
    };
    walk(Start::sequence(number), take_event, [](const Gap&) {});
    if (!found) throw no_letter(number);
    return std::move(*found);
}

Failure Letters::no_letter(Sequence number) const {
    return {ExitCode::not_found,
            fmt::format("topic '{}' has no letter {}; to see what there is: {} dlq ls {}", topic_,
                        number, context_.self(), topic_)};
}

void Letters::read(const std::vector<Sequence>& numbers,
                   const std::function<void(const Letter&)>& take_letter) {
    auto next = numbers.begin();
    if (next == numbers.end()) return;
    const auto take_event = [&](Event& event) {
        while (next != numbers.end() && *next < event.sequence()) ++next;
        if (next == numbers.end()) return false;
        if (*next != event.sequence()) return true;
        if (const auto letter = take(event, true)) take_letter(*letter);
        return ++next != numbers.end();
    };
    walk(Start::sequence(*next), take_event, [](const Gap&) {});
}

} // namespace shmbus::tools
