// shmbus topic ls|info|rm|drain: the topics of a bus.
#include "text/topic_choice.hpp"
#include "tools/command.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <chrono>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <unistd.h>

namespace shmbus::tools {

using namespace std::chrono_literals;

namespace {

ExitCode list(const Context& context) {
    const std::vector<TopicInfo> topics = connect(context.bus).topics();
    if (context.json) {
        Json json = Json::array();
        for (const TopicInfo& topic : topics) json.push_back(json_of(topic, false));
        write_out(to_line(json));
        return ExitCode::done;
    }
    using enum Table::Align;
    Table table({{"TOPIC"},
                 {"FULL"},
                 {"CAPACITY", right},
                 {"SLOT", right},
                 {"MAX EVENT", right},
                 {"POOL", right},
                 {"FIRST", right},
                 {"HEAD", right},
                 {"PUBS", right},
                 {"SUBS", right},
                 {"STATE"}});
    for (const TopicInfo& topic : topics)
        table.add({topic.name, text::word_of(topic.options.full),
                   fmt::to_string(topic.options.capacity), format_size(topic.options.slot_bytes),
                   format_size(topic.options.max_event), format_size(topic.options.pool_bytes),
                   fmt::to_string(topic.first), fmt::to_string(topic.head),
                   fmt::to_string(topic.publisher_count), fmt::to_string(topic.subscriber_count),
                   topic.draining ? "draining" : "open"});
    if (topics.empty())
        note(fmt::format("no topics yet; to create one: {} topic create NAME", context.self()));
    else
        write_out(table.text(colour_wanted(STDOUT_FILENO)));
    return ExitCode::done;
}

std::string on_disk(const TopicInfo& topic) {
    if (topic.options.retention == Retention::memory) return {};
    return fmt::format("on disk       up to {}; to survive a power loss, up to {}\n"
                       "directory     {}\n{}",
                       topic.written, topic.durable, printable(topic.directory),
                       topic.trouble.empty() ? ""
                                             : "trouble       " + printable(topic.trouble) + '\n');
}

std::string facts_of(const TopicInfo& topic) {
    const TopicOptions& options = topic.options;
    const auto ms = [](std::uint32_t n) { return format_duration(std::chrono::milliseconds(n)); };
    return fmt::format(
        "topic         {}\n"
        "uuid          {}\n"
        "state         {}\n"
        "retention     {}\n"
        "memory        {}\n"
        "when full     {}\n"
        "ring          {} slots of {}\n"
        "largest event {}\n"
        "pool          {}\n"
        "evict after   {}\n"
        "hold timeout  {}\n"
        "events        {} there, from {}; head {}\n"
        "creator       uid {}\n{}",
        topic.name, topic.uuid, topic.draining ? "draining" : "open", retention_of(topic),
        format_size(topic.memory_bytes), text::word_of(options.full), options.capacity,
        format_size(options.slot_bytes), format_size(options.max_event),
        format_size(options.pool_bytes), ms(options.evict_after_ms), ms(options.hold_timeout_ms),
        events_kept(topic), topic.first, topic.head, topic.creator_uid, on_disk(topic));
}

std::string peers_of(const TopicInfo& topic, bool colour) {
    using enum Table::Align;
    std::string text;
    if (!topic.publishers.empty()) {
        Table table({{"PUBLISHER", right}, {"UID", right}, {"COMMAND"}});
        for (const PeerInfo& peer : topic.publishers)
            table.add(
                {fmt::to_string(peer.pid), fmt::to_string(peer.uid), printable(peer.command)});
        text += '\n' + table.text(colour);
    }
    if (!topic.subscribers.empty()) {
        Table table({{"SUBSCRIBER", right},
                     {"UID", right},
                     {"CURSOR", right},
                     {"LAG", right},
                     {"GATES"},
                     {"COMMAND"}});
        for (const PeerInfo& peer : topic.subscribers)
            table.add({fmt::to_string(peer.pid), fmt::to_string(peer.uid),
                       fmt::to_string(peer.cursor), lag_shown(topic, peer),
                       peer.lossy ? "no" : "yes", printable(peer.command)});
        text += '\n' + table.text(colour);
    }
    return text;
}

ExitCode info(const Context& context, const std::string& name) {
    const std::string topic_name = parse_name(name, "topic");
    Bus bus = connect(context.bus);
    const TopicInfo topic =
        on_topic_there(context, topic_name, [&] { return bus.topic(topic_name); });
    if (context.json)
        write_out(to_line(json_of(topic, true)));
    else
        write_out(facts_of(topic) + peers_of(topic, colour_wanted(STDOUT_FILENO)));
    return ExitCode::done;
}

ExitCode remove(const Context& context, const std::string& name, bool force) {
    const std::string topic = parse_name(name, "topic");
    Bus bus = connect(context.bus);
    on_topic_there(context, topic, [&] {
        with_remedy(Errc::busy, fmt::format(": {} topic rm {} --force", context.self(), topic),
                    [&] { bus.remove_topic(topic, force); });
    });
    if (context.json) write_out(to_line(Json{{"topic", topic}, {"removed", true}}));
    return ExitCode::done;
}

std::string what_drain_waits_for(const TopicInfo& topic) {
    const std::string holdup = holdup_of(topic);
    return fmt::format("topic '{}': waiting{}", topic.name,
                       holdup.empty() ? " for the daemon" : "; " + holdup);
}

bool drain_within(const Context& context, Bus& bus, const std::string& topic, Deadline deadline) {
    return on_topic_there(context, topic, [&] {
        const Deadline soon(1s);
        if (bus.drain_topic(topic, soon.when() < deadline.when() ? soon : deadline)) return true;
        if (deadline.passed()) return false;
        note(what_drain_waits_for(bus.topic(topic)));
        return bus.drain_topic(topic, deadline);
    });
}

struct DrainArguments {
    std::string name;
    std::optional<Nanoseconds> timeout;
    bool undo = false;
};

ExitCode drain(const Context& context, const DrainArguments& arguments) {
    const std::string topic = parse_name(arguments.name, "topic");
    Bus bus = connect(context.bus);
    bool drained = false;
    if (arguments.undo) {
        on_topic_there(context, topic, [&] { bus.undrain_topic(topic); });
    } else {
        drained =
            drain_within(context, bus, topic,
                         arguments.timeout ? Deadline(*arguments.timeout) : Deadline::never());
    }
    if (context.json) write_out(to_line(Json{{"topic", topic}, {"drained", drained}}));
    if (arguments.undo || drained) return ExitCode::done;
    throw Failure(ExitCode::timed_out, what_drain_waits_for(bus.topic(topic)) +
                                           "; the topic goes on draining (undo: drain --undo)");
}

void add_drain(Verb topic, Invocation& invocation) {
    const auto arguments = std::make_shared<DrainArguments>();
    const Verb verb = topic.add_verb(
        "drain", "take no new events, and wait until subscribers have acknowledged all");
    verb.add("NAME", arguments->name, "the topic").required();
    const Option timeout = verb.add_parsed("--timeout", arguments->timeout, parse_duration,
                                           "DURATION", "how long to wait (as long as it takes)");
    verb.add_flag("--undo", arguments->undo, "take events again").excludes(timeout);
    verb.callback([arguments, &invocation] {
        invocation.run = [arguments](const Context& context) { return drain(context, *arguments); };
    });
}

void add_remove(Verb topic, Invocation& invocation) {
    const auto name = std::make_shared<std::string>();
    const auto force = std::make_shared<bool>(false);
    const Verb verb = topic.add_verb("rm", "remove a topic and all its events");
    verb.add("NAME", *name, "the topic").required();
    verb.add_flag("--force", *force, "also while somebody publishes or subscribes");
    verb.callback([name, force, &invocation] {
        invocation.run = [name, force](const Context& context) {
            return remove(context, *name, *force);
        };
    });
}

} // namespace

void add_topic(Verb root, Invocation& invocation) {
    const Verb topic = root.add_verb("topic", "create, list, describe, remove, drain topics");
    topic.require_verb();
    add_topic_create(topic, invocation);
    topic.add_verb("ls", "list all topics").callback([&invocation] { invocation.run = list; });
    const auto name = std::make_shared<std::string>();
    const Verb info_verb = topic.add_verb("info", "everything about one topic");
    info_verb.add("NAME", *name, "the topic").required();
    info_verb.callback([name, &invocation] {
        invocation.run = [name](const Context& context) { return info(context, *name); };
    });
    add_topic_incidents(topic, invocation);
    add_remove(topic, invocation);
    add_drain(topic, invocation);
}

} // namespace shmbus::tools
