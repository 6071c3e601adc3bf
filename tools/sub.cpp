// shmbus sub: prints the events of topics and acknowledges each after it was written out.
#include "tools/command.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"
#include "tools/stream.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <shmbus/log.hpp>

#include <fmt/format.h>
#include <limits>
#include <memory>
#include <optional>
#include <set>

namespace shmbus::tools {

namespace {

struct SubArguments {
    std::vector<std::string> topics;
    std::string name;
    bool steal = false;
    std::string group;
    std::optional<Start> start;
    std::vector<std::uint32_t> types;
    std::optional<std::string> key;
    std::optional<std::uint64_t> count;
    std::optional<Nanoseconds> silence;
    bool no_acknowledge = false;
    bool lossy = false;
    std::optional<Format> format;
    std::string command;
    std::optional<unsigned> retries;
};

constexpr auto any_number = std::numeric_limits<std::uint64_t>::max();

std::uint32_t parse_type(const std::string& text) {
    return static_cast<std::uint32_t>(
        parse_number(text, 0, std::numeric_limits<std::uint32_t>::max()));
}

SubscribeOptions subscribe_options(const SubArguments& arguments) {
    SubscribeOptions options;
    // Whoever gives it a name wants everything that is kept.
    const bool is_named = !arguments.name.empty() || !arguments.group.empty();
    options.start = arguments.start.value_or(is_named ? Start::all() : Start::latest());
    options.name = arguments.group.empty() ? arguments.name : arguments.group;
    if (!arguments.group.empty()) options.group.emplace();
    options.steal = arguments.steal;
    options.types = arguments.types;
    options.key = arguments.key;
    options.lossy = arguments.lossy;
    options.auto_acknowledge = false;
    return options;
}

// Who says nothing about --from gets what is published from now on, and may not expect that.
void hint_at_older_events(Bus& bus, const Subscription& subscription) {
    try {
        const TopicInfo topic = bus.topic(subscription.topic());
        if (topic.first >= subscription.position() || events_kept(topic) == 0) return;
        note(fmt::format("topic '{}' has {} older than this; to see them: --from all", topic.name,
                         counted(subscription.position() - topic.first, "event")));
    } catch (const Error&) { // the subscription stands; only the hint is lost
    }
}

void explain_closed(Bus& bus, const std::string& topic) {
    try {
        static_cast<void>(bus.topic(topic));
    } catch (const Error& error) {
        throw closed(topic, error);
    }
    throw Failure(
        ExitCode::failed,
        fmt::format("topic '{}' was closed: removed and made anew, or its daemon restarted",
                    topic));
}

StreamOptions stream_options(const Context& context, const SubArguments& arguments,
                             const std::string& socket) {
    StreamOptions options;
    options.format = arguments.format.value_or(context.json ? Format("json") : Format());
    options.is_member = !arguments.group.empty();
    // What a group's command fails at comes again by itself, to whichever member.
    const unsigned usual = options.is_member ? 0 : 3;
    options.command = Command(arguments.command, socket, arguments.retries.value_or(usual));
    options.count = arguments.count;
    options.silence = arguments.silence;
    options.acknowledge = !arguments.no_acknowledge;
    return options;
}

/// Above all that an event cannot be set aside, which nobody else hears of.
void show_what_the_library_says() {
    set_log_handler([](LogLevel level, std::string_view line) {
        if (level <= LogLevel::warning) note(line);
    });
}

ExitCode subscribe(const Context& context, const SubArguments& arguments) {
    if (context.json && arguments.format)
        throw Failure(ExitCode::usage, "--json is --format json: give one of --json and --format");
    if (context.json && !arguments.command.empty())
        throw Failure(ExitCode::usage, "--exec prints nothing, so --json has no meaning with it");
    if (!arguments.group.empty()) show_what_the_library_says();
    Bus bus = connect(context.bus);
    std::vector<Subscription> subscriptions;
    for (const std::string& topic : arguments.topics)
        with_remedy(Errc::busy, "; stop it, or take it over: --steal", [&] {
            subscriptions.push_back(on_topic(context, topic, [&] {
                return bus.subscribe(topic, subscribe_options(arguments));
            }));
        });
    if (!arguments.start && arguments.name.empty() && arguments.group.empty())
        for (const Subscription& subscription : subscriptions)
            hint_at_older_events(bus, subscription);
    Stream stream(stream_options(context, arguments, bus.socket()),
                  [&](const std::string& topic) { explain_closed(bus, topic); });
    stream.follow(subscriptions);
    return ExitCode::done;
}

std::vector<std::string> checked_topics(const std::vector<std::string>& names) {
    std::set<std::string> seen;
    for (const std::string& name : names)
        if (!seen.insert(parse_name(name, "topic")).second)
            throw Failure(ExitCode::usage, fmt::format("topic '{}' is given twice", name));
    return names;
}

/// @returns what a group has no use for: each of its events goes to one member
std::vector<Option> add_selection(Verb verb, SubArguments& a) {
    verb.add("TOPIC", a.topics, "one topic or more").required();
    verb.add_parsed(
        "--from", a.start, parse_start, "all|new|last|SEQ|TIME",
        "the first event: the oldest still there, the next one to come, the newest there, a "
        "sequence, or a time (new)");
    const auto take_types = [&a](const std::vector<std::string>& texts) {
        for (const std::string& text : texts) a.types.push_back(parse_type(text));
    };
    const Option type = verb.add_repeated(
        "--type", take_types, "only events of this type, of 32 bits; again for one more");
    type.type("N");
    const Option key = verb.add_parsed("--key", a.key, parse_key, "K",
                                       "only events with this key, 1 to 255 bytes");
    verb.add_parsed(
        "--count", a.count,
        [](const std::string& text) { return parse_number(text, 1, any_number); }, "N",
        "end after N events, from 1");
    verb.add_parsed("--timeout", a.silence, parse_duration, "DURATION",
                    "end, with 3, when no event came for that long");
    verb.add_flag("--no-ack", a.no_acknowledge,
                  "acknowledge nothing: publishers of a full topic wait for it until they evict "
                  "it, and again each time");
    const Option lossy = verb.add_flag(
        "--lossy", a.lossy,
        "let publishers of a full topic overwrite what was not read yet: look on without holding "
        "anybody up");
    return {type, key, lossy};
}

void add_name(Verb verb, SubArguments& a, const std::vector<Option>& not_of_groups) {
    const auto parse = [](const std::string& text) { return parse_name(text, "subscription"); };
    const Option name = verb.add_parsed("--name", a.name, parse, "NAME",
                                        "make the subscription durable: it goes on behind what was "
                                        "acknowledged under this name; a new "
                                        "one starts with the oldest event, or where --from says");
    verb.add_flag("--steal", a.steal, "take it over from another process that has it").needs(name);
    const Option group = verb.add_parsed(
        "--group", a.group, parse, "NAME",
        "join a group: each event goes to one of its members, those of a key one after the other; "
        "made if there is none (subscription create --group makes one with options)");
    group.excludes(name);
    for (const Option& option : not_of_groups) group.excludes(option);
}

void add_presentation(Verb verb, SubArguments& a) {
    const Option format = verb.add_parsed(
        "--format", a.format, [](const std::string& text) { return Format(text); },
        "lines|raw|framed|hex|json|TEMPLATE",
        "payloads with a newline each (lines), as they are, with a u32 little-endian length "
        "before, "
        "as hexadecimal digits; JSON, one object a line; or text with %s sequence, %t time, %k "
        "key, "
        "%y type, %c correlation, %p payload, %T topic, %a attempt of a group");
    const Option command = verb.add("--exec", a.command,
                                    "run CMD for each event, with the payload on stdin and "
                                    "SHMBUS_SEQ, SHMBUS_KEY, … in the environment; acknowledge "
                                    "when it exits 0");
    command.type("CMD").excludes(format);
    verb.add_parsed(
            "--retries", a.retries,
            [](const std::string& text) {
                return static_cast<unsigned>(parse_number(text, 0, 1000));
            },
            "N",
            "of CMD, up to 1000, with growing pauses, before sub gives up with 1 (3), or in a "
            "group "
            "lets the event come again (0)")
        .needs(command);
}

constexpr auto sub_examples = R"(Examples:
  shmbus sub trades
  shmbus sub trades --from all --format '%t %k %p'
  shmbus sub orders returns --json | jq .payload
  shmbus sub jobs --name worker --exec 'sh -c "convert - /srv/out/$SHMBUS_SEQ.png"'
  shmbus sub orders --group processors --exec ./process-order)";

} // namespace

void add_sub(Verb root, Invocation& invocation) {
    const auto arguments = std::make_shared<SubArguments>();
    const Verb verb = root.add_verb("sub", "print events as they come");
    const auto not_of_groups = add_selection(verb, *arguments);
    add_presentation(verb, *arguments);
    add_name(verb, *arguments, not_of_groups);
    verb.footer(sub_examples);
    verb.callback([arguments, &invocation] {
        arguments->topics = checked_topics(arguments->topics);
        invocation.run = [arguments](const Context& context) {
            return subscribe(context, *arguments);
        };
    });
}

} // namespace shmbus::tools
