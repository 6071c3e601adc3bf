#include "tools/publishing.hpp"

#include "tools/failure.hpp"
#include "tools/format.hpp"
#include "tools/interrupt.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"

#include <fmt/format.h>
#include <limits>
#include <unistd.h>

namespace shmbus::tools {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Publishing::Publishing(const Context& context, const PubArguments& arguments)
    : context_(context), arguments_(arguments), bus_(connect(context.bus)),
      publisher_(on_topic(context, arguments.topic,
                          [&] {
                              PublisherOptions options;
                              options.name = arguments.as;
                              return bus_.publisher(arguments.topic, options);
                          })),
      next_id_(arguments.id.value_or(0)) {
    for (const auto& [name, value] : arguments.headers) headers_.push_back({name, value});
}

Attributes Publishing::attributes() const {
    Attributes attributes;
    attributes.key = arguments_.key;
    attributes.type = arguments_.type;
    attributes.id = next_id_;
    attributes.correlation = arguments_.correlation;
    if (arguments_.cause)
        attributes.cause = Cause{arguments_.cause->first, arguments_.cause->second};
    attributes.headers = headers_;
    return attributes;
}

void Publishing::require_id() const {
    if (arguments_.as.empty()) return;
    constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
    if (arguments_.id ? next_id_ != 0 : publisher_.last_event_id() != largest) return;
    throw Failure(ExitCode::refused,
                  fmt::format("publisher '{}' of topic '{}' has used the largest id there is: "
                              "publish as another one",
                              arguments_.as, arguments_.topic));
}

void Publishing::run(Tally& tally) {
    const OnInterrupt guard(publisher_);
    const auto begin = Clock::now();
    const auto publish_next = [&](std::string_view payload) {
        if (interrupted()) throw Interrupted();
        // By the whole schedule, not by the last event, so that delays do not add up.
        if (arguments_.rate)
            sleep_until(begin +
                        std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double>(
                            static_cast<double>(tally.count) / *arguments_.rate)));
        require_id();
        const PublishResult result = wait_for_room(payload);
        if (next_id_ != 0) ++next_id_;
        if (result.outcome == PublishOutcome::duplicate) {
            ++tally.duplicates;
            return;
        }
        if (!result) explain(result.outcome, payload);
        if (tally.count++ == 0) tally.first = result.sequence;
        tally.last = result.sequence;
    };
    if (arguments_.data) {
        publish_next(*arguments_.data);
    } else {
        Input input(STDIN_FILENO, arguments_.split, publisher_.max_event());
        try {
            while (const auto payload = input.next()) publish_next(*payload);
        } catch (const TooLarge& event) {
            explain_too_large(event);
        }
    }
    if (arguments_.wait_durable && tally.count != 0) wait_until_durable(tally.last);
}

// The last one: all before it are, too, then.
void Publishing::wait_until_durable(Sequence last) {
    const Deadline deadline =
        arguments_.timeout ? Deadline(*arguments_.timeout) : Deadline::never();
    const Deadline soon(1s);
    bool said = false;
    for (;;) {
        if (interrupted()) throw Interrupted();
        const Deadline until = said || deadline.when() < soon.when() ? deadline : soon;
        switch (publisher_.wait_durable(last, until)) {
        case Durability::durable: return;
        case Durability::interrupted: break;
        case Durability::not_durable:
            throw Failure(ExitCode::refused,
                          fmt::format("topic '{}' is not made to survive a power loss: it is in "
                                      "memory, or its sync is 'none'; the events were published",
                                      arguments_.topic));
        case Durability::closed:
            throw Failure(ExitCode::refused,
                          fmt::format("topic '{}' was removed before all was on disk; the events "
                                      "were published",
                                      arguments_.topic));
        case Durability::timed_out:
            if (deadline.passed())
                throw Failure(ExitCode::timed_out,
                              fmt::format("topic '{}': not all is on disk within {}{}; the events "
                                          "were published",
                                          arguments_.topic,
                                          format_duration(arguments_.timeout.value_or(0ns)),
                                          who_holds_it_up()));
            note(fmt::format("topic '{}': waiting for the disk{}", arguments_.topic,
                             who_holds_it_up()));
            said = true;
        }
    }
}

// Publishes at once where there is room; else waits, and after a second says for what. An exhausted
// pool and a full ring are the same to who waits: only the timeout ends it.
PublishResult Publishing::wait_for_room(std::string_view payload) {
    PublishResult result = publish_until(payload, Deadline::now());
    const auto waits = [&] {
        return result.outcome == PublishOutcome::timed_out ||
               (result.outcome == PublishOutcome::pool_full && topic_blocks()) ||
               (result.outcome == PublishOutcome::closed && daemon_is_away());
    };
    if (!waits()) return result;
    const Deadline deadline =
        arguments_.timeout ? Deadline(*arguments_.timeout) : Deadline::never();
    const Deadline soon(1s);
    result = publish_until(payload, soon.when() < deadline.when() ? soon : deadline);
    if (result.outcome == PublishOutcome::closed && !soon.passed() && !deadline.passed())
        return result; // who does not wait for room waits for no daemon
    if (waits() && !deadline.passed()) {
        if (result.outcome == PublishOutcome::closed)
            note(fmt::format("topic '{}': waiting for its daemon, which has stopped",
                             arguments_.topic));
        else
            note(fmt::format("topic '{}': waiting for room for an event of {}{}", arguments_.topic,
                             counted(payload.size(), "byte"), who_holds_it_up()));
        result = publish_until(payload, deadline);
    }
    if (result.outcome != PublishOutcome::closed && waits())
        result.outcome = PublishOutcome::timed_out;
    return result;
}

// Another one opens the topic again, unless somebody else closed it.
bool Publishing::daemon_is_away() {
    try {
        return !bus_.topic(arguments_.topic).draining;
    } catch (const Error& error) {
        return error.code() == Errc::no_daemon || error.code() == Errc::disconnected;
    }
}

// The policy never changes, so it is asked for once, when it first matters.
bool Publishing::topic_blocks() {
    if (!policy_) policy_ = bus_.topic(arguments_.topic).options.full;
    return *policy_ == FullPolicy::block;
}

// A signal that is not for us (a window that changed its size) does not end the wait.
PublishResult Publishing::publish_until(std::string_view payload, Deadline deadline) {
    while (true) {
        const PublishResult result = publisher_.publish(as_bytes(payload), attributes(), deadline);
        if (result.outcome != PublishOutcome::interrupted) return result;
        if (interrupted()) throw Interrupted();
    }
}

// "; pid 4711 (sh) has 3 events to acknowledge", as far as the daemon knows.
std::string Publishing::who_holds_it_up() {
    try {
        const std::string holdup = holdup_of(bus_.topic(arguments_.topic));
        return holdup.empty() ? "" : "; " + holdup;
    } catch (const Error& error) { // waiting does not need the daemon; knowing for whom does
        return fmt::format("; for whom is not known ({})", error.what());
    }
}

void Publishing::explain(PublishOutcome outcome, std::string_view payload) {
    const ExitCode code = exit_code_of(outcome);
    switch (outcome) {
    case PublishOutcome::full:
        throw Failure(code,
                      fmt::format("topic '{}' is full{}", arguments_.topic, who_holds_it_up()));
    case PublishOutcome::pool_full:
        throw Failure(code, fmt::format("topic '{}': its pool has no room for {}; a topic with a "
                                        "larger one: {} topic create NAME --pool BYTES",
                                        arguments_.topic, counted(payload.size(), "byte"),
                                        context_.self()));
    case PublishOutcome::timed_out:
        throw Failure(code, fmt::format("topic '{}': no room within {}{}", arguments_.topic,
                                        format_duration(arguments_.timeout.value_or(0ns)),
                                        who_holds_it_up()));
    case PublishOutcome::closed: explain_closed();
    case PublishOutcome::too_large:
        if (payload.size() > publisher_.max_event())
            explain_too_large({.bytes = payload.size(), .at_least = false});
        throw Failure(
            code, fmt::format("topic '{}': an event of {} with this key and these headers "
                              "fits nowhere; a topic with room: {} topic create NAME "
                              "--slot BYTES --pool BYTES",
                              arguments_.topic, counted(payload.size(), "byte"), context_.self()));
    default: throw Failure(code, fmt::format("topic '{}': {}", arguments_.topic, name_of(outcome)));
    }
}

void Publishing::explain_closed() {
    TopicInfo topic;
    try {
        topic = bus_.topic(arguments_.topic);
    } catch (const Error& error) {
        throw closed(arguments_.topic, error);
    }
    if (topic.draining)
        throw Failure(ExitCode::refused,
                      fmt::format("topic '{0}' is draining and takes no events; to open it again: "
                                  "{1} topic drain {0} --undo",
                                  arguments_.topic, context_.self()));
    throw Failure(ExitCode::refused,
                  fmt::format("topic '{}' was closed: removed and made anew, or its daemon stopped",
                              arguments_.topic));
}

void Publishing::explain_too_large(const TooLarge& event) const {
    throw Failure(ExitCode::refused,
                  fmt::format("topic '{}' takes events of up to {} ({}), and this one has {}{}; a "
                              "topic for larger ones: {} topic create NAME --max-event BYTES",
                              arguments_.topic, counted(publisher_.max_event(), "byte"),
                              format_size(publisher_.max_event()),
                              event.at_least ? "at least " : "", event.bytes, context_.self()));
}

} // namespace shmbus::tools
