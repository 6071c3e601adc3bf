// shmbus pub: publishes one event, or a stream of them from stdin.
#include "tools/command.hpp"
#include "tools/input.hpp"
#include "tools/interrupt.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <unistd.h>

namespace shmbus::tools {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

struct PubArguments {
    std::string topic;
    std::optional<std::string> data;
    Input::Split split = Input::Split::whole;
    std::string key;
    std::uint32_t type = 0;
    CorrelationId correlation;
    std::optional<std::pair<std::string, Sequence>> cause;
    std::vector<std::pair<std::string, std::string>> headers;
    std::optional<Nanoseconds> timeout;
    std::optional<double> rate;
    bool wait_durable = false;
    std::string as;                  // the publisher's name
    std::optional<std::uint64_t> id; // the first event's, of that publisher
};

CorrelationId parse_correlation(std::string_view text) {
    if (text == "new") return CorrelationId::random();
    const auto id = CorrelationId::parse(text);
    if (id && id->empty())
        throw Failure(ExitCode::usage, "32 zeros mean no correlation; to have none, leave it out");
    if (id) return *id;
    throw Failure(ExitCode::usage,
                  fmt::format("'{}' is neither 32 hexadecimal digits nor 'new'", printable(text)));
}

std::pair<std::string, Sequence> parse_cause(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        throw Failure(ExitCode::usage, fmt::format("'{}' is not TOPIC:SEQ", printable(text)));
    return {parse_name(text.substr(0, colon), "topic"),
            parse_number(text.substr(colon + 1), 1, std::numeric_limits<Sequence>::max())};
}

std::vector<std::pair<std::string, std::string>>
parse_headers(const std::vector<std::string>& texts) {
    std::vector<std::pair<std::string, std::string>> headers;
    std::size_t bytes = 0;
    for (const std::string& text : texts) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0)
            throw Failure(ExitCode::usage, fmt::format("'{}' is not K=V", printable(text)));
        headers.emplace_back(text.substr(0, equals), text.substr(equals + 1));
        bytes += text.size() - 1 + 6; // as max_headers_bytes counts
    }
    if (bytes > max_headers_bytes)
        throw Failure(ExitCode::usage,
                      fmt::format("together they take {} bytes; {} is the most an event carries",
                                  bytes, max_headers_bytes));
    return headers;
}

double parse_rate(const std::string& text) {
    char* end = nullptr;
    const double rate = std::strtod(text.c_str(), &end);
    if (end != text.c_str() && *end == '\0' && rate >= 1e-3 && rate <= 1e9) return rate;
    throw Failure(ExitCode::usage, fmt::format("'{}' is no number of events a second from 0.001 up",
                                               printable(text)));
}

/// What has been published.
struct Tally {
    Sequence first = 0;
    Sequence last = 0;
    std::uint64_t count = 0;
    std::uint64_t duplicates = 0; // of a named publisher, which had published them before
};

/// One run of pub: a connection, a publisher, and the attributes that all its events share.
class Publishing {
  public:
    Publishing(const Context& context, const PubArguments& arguments);
    /// @throws Failure, Error, Interrupted; the tally is right in any case
    void run(Tally& tally);

  private:
    [[nodiscard]] Attributes attributes() const;
    void publish(std::string_view payload);
    PublishResult wait_for_room(std::string_view payload);
    [[nodiscard]] bool topic_blocks();
    [[nodiscard]] bool daemon_is_away();
    PublishResult publish_until(std::string_view payload, Deadline deadline);
    [[nodiscard]] std::string who_holds_it_up();
    void wait_until_durable(Sequence last);
    [[noreturn]] void explain(PublishOutcome outcome, std::string_view payload);
    [[noreturn]] void explain_closed();
    [[noreturn]] void explain_too_large(const TooLarge& event) const;

    const Context& context_;
    const PubArguments& arguments_;
    std::vector<Header> headers_;
    std::optional<FullPolicy> policy_;
    Bus bus_;
    Publisher publisher_;
    std::uint64_t next_id_; // a named publisher's; 0: the one behind its last
};

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

void report(const Context& context, const PubArguments& arguments, const Tally& tally) {
    if (!context.json) return;
    Json json{{"topic", arguments.topic}, {"first", nullptr}, {"last", nullptr}};
    if (tally.count > 0) {
        json["first"] = tally.first;
        json["last"] = tally.last;
    }
    json["count"] = tally.count;
    if (!arguments.as.empty()) json["duplicates"] = tally.duplicates;
    if (!arguments.correlation.empty()) json["correlation"] = arguments.correlation.to_string();
    try {
        write_out(to_line(json));
    } catch (const Failure& failure) { // who sees it fail must not publish it all again
        if (tally.count == 0) throw;
        throw Failure(failure.code(),
                      fmt::format("{}; {} published all the same", failure.what(),
                                  tally.count == 1 ? "the event was"
                                                   : counted(tally.count, "event") + " were"));
    }
}

ExitCode publish(const Context& context, const PubArguments& arguments) {
    Tally tally;
    try {
        Publishing(context, arguments).run(tally);
    } catch (...) {
        report(context, arguments, tally);
        if (!arguments.data && arguments.split != Input::Split::whole && !context.json)
            note(fmt::format("{} published before it ended", counted(tally.count, "event")));
        throw;
    }
    report(context, arguments, tally);
    if (tally.duplicates != 0 && !context.json)
        note(fmt::format("{} published before, and not again",
                         tally.duplicates == 1 ? "1 event was"
                                               : counted(tally.duplicates, "event") + " were"));
    return ExitCode::done;
}

void add_attributes(Verb verb, PubArguments& a) {
    verb.add_parsed("--key", a.key, parse_key, "K", "the key of each event, 1 to 255 bytes");
    verb.add_parsed(
        "--type", a.type,
        [](const std::string& text) {
            return static_cast<std::uint32_t>(
                parse_number(text, 0, std::numeric_limits<std::uint32_t>::max()));
        },
        "N", "the application's own event type, of 32 bits (0)");
    verb.add_parsed("--correlation", a.correlation, parse_correlation, "HEX|new",
                    "the request it belongs to: 32 hexadecimal digits, not all 0");
    verb.add_parsed("--cause", a.cause, parse_cause, "TOPIC:SEQ", "the event that made it happen");
    const auto take = [&a](const std::vector<std::string>& texts) {
        a.headers = parse_headers(texts);
    };
    verb.add_repeated("--header", take, "more, again and again; together at most 4 KiB")
        .type("K=V");
}

constexpr auto pub_examples = R"(Examples:
  shmbus pub trades 'hello' --key eu
  tail -f /var/log/syslog | shmbus pub logs --lines
  shmbus pub images --type 7 < picture.png
  shmbus sub a --format framed | shmbus pub b --framed)";

} // namespace

void add_pub(Verb root, Invocation& invocation) {
    const auto arguments = std::make_shared<PubArguments>();
    PubArguments& a = *arguments;
    const Verb verb = root.add_verb("pub", "publish events");
    verb.add("TOPIC", a.topic, "the topic").required();
    const Option data = verb.add(
        "DATA", [&a](const std::string& text) { a.data = text; },
        "the payload of one event; without it, all of stdin is one event");
    const Option lines = verb.add_flag(
        "--lines", [&a] { a.split = Input::Split::lines; }, "one event for each line of stdin");
    const Option framed = verb.add_flag(
        "--framed", [&a] { a.split = Input::Split::frames; },
        "one event for each frame of stdin: u32 little-endian length, then the bytes");
    lines.excludes(framed).excludes(data);
    framed.excludes(data);
    add_attributes(verb, a);
    verb.add_parsed("--timeout", a.timeout, parse_duration, "DURATION",
                    "how long an event may wait for room (as long as it takes)");
    verb.add_parsed("--rate", a.rate, parse_rate, "N", "at most N events a second, 0.001 to 1e9");
    const Option as = verb.add_parsed(
        "--as", a.as, [](const std::string& text) { return parse_name(text, "publisher"); }, "NAME",
        "as the publisher of this name, which publishes nothing twice; for a topic on disk");
    verb.add_parsed(
            "--id", a.id,
            [](const std::string& text) {
                return parse_number(text, 1, std::numeric_limits<std::uint64_t>::max());
            },
            "N", "the first event's id, of which that goes by; the others follow it (the next one)")
        .needs(as);
    verb.add_flag("--wait-durable", a.wait_durable,
                  "end when all survive a power loss, within --timeout; for a topic on disk");
    verb.footer(pub_examples);
    verb.callback([arguments, &invocation] {
        arguments->topic = parse_name(arguments->topic, "topic");
        invocation.run = [arguments](const Context& context) {
            return publish(context, *arguments);
        };
    });
}

} // namespace shmbus::tools
