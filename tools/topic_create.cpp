// shmbus topic create.
#include "text/topic_choice.hpp"
#include "tools/command.hpp"
#include "tools/output.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>

namespace shmbus::tools {

namespace {

// The arguments of `topic create`.
struct CreateArguments {
    std::string name;
    bool if_missing = false;
    text::TopicChoice choice;
};

ExitCode create(const Context& context, const CreateArguments& arguments) {
    const std::string name = parse_name(arguments.name, "topic");
    const TopicOptions options = arguments.choice.options();
    Bus bus = connect(context.bus);
    bool created = true;
    if (arguments.if_missing)
        created = bus.create_topic_if_missing(name, options);
    else
        with_remedy(Errc::topic_exists,
                    fmt::format("; --if-missing allows that if the options are the same; to remove "
                                "it: {} topic rm {}",
                                context.self(), name),
                    [&] { bus.create_topic(name, options); });
    if (context.json) write_out(to_line(Json{{"topic", name}, {"created", created}}));
    return ExitCode::done;
}

void add_disk_options(Verb verb, text::TopicChoice& a) {
    verb.add_parsed(
        "--sync", a.sync, text::parse_sync, "none|interval:MS|group",
        "on disk: when events are made to survive a power loss: when the system gets "
        "round to it, at most 1 to 3600000 ms later, or at once and many together (group)");
    verb.add_parsed("--keep-bytes", a.keep_bytes, parse_size, "BYTES",
                    "on disk: the most its files take; the oldest go first; 0: no limit (1G)");
    verb.add_parsed("--keep-age", a.keep_age_ms, text::parse_age, "DURATION",
                    "on disk: older events may go; 0: no limit (0)");
    verb.add_parsed("--keep-events", a.keep_events, text::parse_count, "N",
                    "on disk: so many of the newest stay, older ones may go; 0: no limit (0)");
    verb.add_flag(
        "--hold", [&a] { a.hold = true; },
        "on disk: keep what a durable subscription has not acknowledged in spite of these "
        "limits, up to 4 times --keep-bytes");
}

} // namespace

void add_topic_create(Verb topic, Invocation& invocation) {
    const auto arguments = std::make_shared<CreateArguments>();
    CreateArguments& a = *arguments;
    text::TopicChoice& c = a.choice;
    const Verb verb = topic.add_verb("create", "make a topic");
    verb.add("NAME", a.name, "its name").required();
    verb.add_parsed("--retention", c.retention, text::parse_retention, "disk|memory",
                    "where its events live: in files, which survive everything but the disk, or in "
                    "memory alone (disk)");
    verb.add_parsed("--profile", c.profile, text::parse_profile, "fast",
                    "fast: memory, drop-oldest, slots of 128 bytes, unless told otherwise");
    verb.add_parsed("--full", c.full, text::parse_full, "block|reject|drop-oldest",
                    "what a publisher does when the ring is full of events that a subscriber still "
                    "needs: wait, fail, or overwrite (block)");
    verb.add_parsed("--capacity", c.capacity, text::parse_small_size, "SLOTS",
                    "events in the ring, a power of two from 2 to 16M (16384)");
    verb.add_parsed("--slot", c.slot, text::parse_small_size, "BYTES",
                    "of one slot, a power of two from 128 to 64K; 64 of them are header, and "
                    "payloads that do not fit into the rest are in the pool (256)");
    verb.add_parsed("--max-event", c.max_event, parse_size, "BYTES",
                    "largest payload, 1 to 1G (1M)");
    verb.add_parsed("--pool", c.pool, parse_size, "BYTES",
                    "for payloads too large for a slot, up to 64G; takes memory as it is used. For "
                    "N events of one size: that size as --max-event, and room for 2 N here (64M)");
    verb.add_parsed("--evict-after", c.evict_after_ms, text::parse_milliseconds, "DURATION",
                    "how long one subscriber may hold up a full topic, from 1ms (10s)");
    verb.add_parsed(
        "--hold-timeout", c.hold_timeout_ms, text::parse_milliseconds, "DURATION",
        "how long a large payload that is being read is safe from reuse, from 1ms (10s)");
    verb.add_flag("--if-missing", a.if_missing,
                  "fine if it exists already with these options; exit 6 if with others");
    add_disk_options(verb, c);
    verb.add_unavailable_option("--schema", "this version knows no schemas");
    verb.footer(
        "Example:\n  shmbus topic create trades --retention memory --full reject --slot 128");
    verb.callback([arguments, &invocation] {
        invocation.run = [arguments](const Context& context) {
            return create(context, *arguments);
        };
    });
}

} // namespace shmbus::tools
