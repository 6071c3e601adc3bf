// shmbus topic create|ls|info|rm|drain: the topics of a bus.
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

constexpr auto no_disk = "only topics on disk have this, and this version keeps topics in memory";

std::uint32_t parse_size32(std::string_view text) {
    const std::uint64_t size = parse_size(text);
    if (size > std::numeric_limits<std::uint32_t>::max())
        throw Failure(ExitCode::usage, fmt::format("'{}' is too large", printable(text)));
    return static_cast<std::uint32_t>(size);
}

std::uint32_t parse_milliseconds(std::string_view text) {
    const Nanoseconds duration = parse_duration(text);
    if (duration % 1ms != 0ns)
        throw Failure(ExitCode::usage,
                      fmt::format("'{}' is not a whole number of milliseconds", printable(text)));
    const std::int64_t ms = duration / 1ms;
    if (ms > std::numeric_limits<std::uint32_t>::max())
        throw Failure(ExitCode::usage, fmt::format("'{}' is too long", printable(text)));
    return static_cast<std::uint32_t>(ms);
}

FullPolicy parse_policy(std::string_view text) {
    for (const auto policy : {FullPolicy::block, FullPolicy::reject, FullPolicy::drop_oldest})
        if (text == policy_word(policy)) return policy;
    throw Failure(ExitCode::usage,
                  fmt::format("'{}' is none of block, reject and drop-oldest", printable(text)));
}

void check_retention(std::string_view text) {
    if (text == "disk")
        throw Failure(ExitCode::usage, "this version keeps topics in memory only; topics on disk "
                                       "come with a later one");
    if (text != "memory")
        throw Failure(ExitCode::usage,
                      fmt::format("'{}' is neither disk nor memory", printable(text)));
}

void check_profile(std::string_view text) {
    if (text != "fast")
        throw Failure(ExitCode::usage,
                      fmt::format("'{}': there is one profile, fast", printable(text)));
}

// Runs an action; what the daemon says when it refuses for this reason gets the remedy appended.
template <class Action> void with_remedy(Errc reason, const std::string& remedy, Action action) {
    try {
        action();
    } catch (const Error& error) {
        if (error.code() != reason) throw;
        throw Failure(exit_code_of(reason), error.what() + remedy);
    }
}

// The options of `topic create`; what is not given follows the profile.
struct CreateArguments {
    std::string name;
    std::string retention;
    std::string profile;
    bool if_missing = false;
    std::optional<FullPolicy> full;
    std::optional<std::uint32_t> capacity;
    std::optional<std::uint32_t> slot;
    std::optional<std::uint64_t> max_event;
    std::optional<std::uint64_t> pool;
    std::optional<std::uint32_t> evict_after_ms;
    std::optional<std::uint32_t> hold_timeout_ms;

    [[nodiscard]] TopicOptions options() const {
        TopicOptions options;
        if (profile == "fast") {
            options.full = FullPolicy::drop_oldest;
            options.slot_bytes = 128;
        }
        options.full = full.value_or(options.full);
        options.capacity = capacity.value_or(options.capacity);
        options.slot_bytes = slot.value_or(options.slot_bytes);
        options.max_event = max_event.value_or(options.max_event);
        options.pool_bytes = pool.value_or(options.pool_bytes);
        options.evict_after_ms = evict_after_ms.value_or(options.evict_after_ms);
        options.hold_timeout_ms = hold_timeout_ms.value_or(options.hold_timeout_ms);
        return options;
    }
};

ExitCode create(const Context& context, const CreateArguments& arguments) {
    const std::string name = parse_name(arguments.name, "topic");
    Bus bus = connect(context.bus);
    bool created = true;
    if (arguments.if_missing)
        created = bus.create_topic_if_missing(name, arguments.options());
    else
        with_remedy(Errc::topic_exists,
                    fmt::format("; --if-missing allows that if the options are the same; to remove "
                                "it: {} topic rm {}",
                                context.self(), name),
                    [&] { bus.create_topic(name, arguments.options()); });
    if (created && arguments.retention.empty() && arguments.profile.empty())
        note(
            fmt::format("topic '{}' is in memory only: its events are gone when shmbusd ends (this "
                        "version has no topics on disk; --retention memory says it is meant)",
                        name));
    if (context.json) write_out(to_line(Json{{"topic", name}, {"created", created}}));
    return ExitCode::done;
}

void add_create(Verb topic, Invocation& invocation) {
    const auto arguments = std::make_shared<CreateArguments>();
    CreateArguments& a = *arguments;
    const Verb verb = topic.add_verb("create", "make a topic");
    verb.add("NAME", a.name, "its name").required();
    verb.add("--retention", a.retention, "where its events live: memory")
        .type("disk|memory")
        .check(check_retention);
    verb.add("--profile", a.profile,
             "fast: memory, drop-oldest, slots of 128 bytes, unless told otherwise")
        .type("fast")
        .check(check_profile);
    verb.add_parsed("--full", a.full, parse_policy, "block|reject|drop-oldest",
                    "what a publisher does when the ring is full of events that a subscriber still "
                    "needs: wait, fail, or overwrite (block)");
    verb.add_parsed("--capacity", a.capacity, parse_size32, "SLOTS",
                    "events in the ring, a power of two from 2 to 16M (16384)");
    verb.add_parsed("--slot", a.slot, parse_size32, "BYTES",
                    "of one slot, a power of two from 128 to 64K; 64 of them are header, and "
                    "payloads that do not fit into the rest are in the pool (256)");
    verb.add_parsed("--max-event", a.max_event, parse_size, "BYTES",
                    "largest payload, 1 to 1G (1M)");
    verb.add_parsed("--pool", a.pool, parse_size, "BYTES",
                    "for payloads too large for a slot, up to 64G; takes memory as it is used. For "
                    "N events of one size: that size as --max-event, and room for 2 N here (64M)");
    verb.add_parsed("--evict-after", a.evict_after_ms, parse_milliseconds, "DURATION",
                    "how long one subscriber may hold up a full topic, from 1ms (10s)");
    verb.add_parsed(
        "--hold-timeout", a.hold_timeout_ms, parse_milliseconds, "DURATION",
        "how long a large payload that is being read is safe from reuse, from 1ms (10s)");
    verb.add_flag("--if-missing", a.if_missing,
                  "fine if it exists already with these options; exit 6 if with others");
    for (const char* const name : {"--sync", "--keep-bytes", "--keep-age", "--keep-events"})
        verb.add_unavailable_option(name, no_disk);
    verb.add_unavailable_flag("--hold", no_disk);
    verb.add_unavailable_option("--schema", "this version knows no schemas");
    verb.footer(
        "Example:\n  shmbus topic create trades --retention memory --full reject --slot 128");
    verb.callback([arguments, &invocation] {
        invocation.run = [arguments](const Context& context) {
            return create(context, *arguments);
        };
    });
}

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
        table.add({topic.name, policy_word(topic.options.full),
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

std::string facts_of(const TopicInfo& topic) {
    const TopicOptions& options = topic.options;
    const auto ms = [](std::uint32_t n) { return format_duration(std::chrono::milliseconds(n)); };
    return fmt::format("topic         {}\n"
                       "uuid          {}\n"
                       "state         {}\n"
                       "retention     memory, {}\n"
                       "when full     {}\n"
                       "ring          {} slots of {}\n"
                       "largest event {}\n"
                       "pool          {}\n"
                       "evict after   {}\n"
                       "hold timeout  {}\n"
                       "events        {} in the ring, from {}; head {}\n"
                       "creator       uid {}\n",
                       topic.name, topic.uuid, topic.draining ? "draining" : "open",
                       format_size(topic.memory_bytes), policy_word(options.full), options.capacity,
                       format_size(options.slot_bytes), format_size(options.max_event),
                       format_size(options.pool_bytes), ms(options.evict_after_ms),
                       ms(options.hold_timeout_ms), events_in_ring(topic), topic.first, topic.head,
                       topic.creator_uid);
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
    add_create(topic, invocation);
    topic.add_verb("ls", "list all topics").callback([&invocation] { invocation.run = list; });
    const auto name = std::make_shared<std::string>();
    const Verb info_verb = topic.add_verb("info", "everything about one topic");
    info_verb.add("NAME", *name, "the topic").required();
    info_verb.callback([name, &invocation] {
        invocation.run = [name](const Context& context) { return info(context, *name); };
    });
    add_remove(topic, invocation);
    add_drain(topic, invocation);
}

} // namespace shmbus::tools
