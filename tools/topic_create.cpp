// shmbus topic create.
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

namespace shmbus::tools {

using namespace std::chrono_literals;

namespace {

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

Retention parse_retention(std::string_view text) {
    for (const auto retention : {Retention::disk, Retention::memory})
        if (text == name_of(retention)) return retention;
    throw Failure(ExitCode::usage, fmt::format("'{}' is neither disk nor memory", printable(text)));
}

struct SyncWish {
    Sync sync;
    std::uint32_t interval_ms;
};

SyncWish parse_sync(std::string_view text) {
    constexpr std::string_view interval = "interval:";
    constexpr std::uint64_t longest = 3'600'000; // milliseconds
    const std::uint32_t unused = TopicOptions{}.sync_interval_ms;
    if (text == "none") return {Sync::none, unused};
    if (text == "group") return {Sync::group, unused};
    if (text.starts_with(interval))
        return {Sync::interval,
                static_cast<std::uint32_t>(parse_number(text.substr(interval.size()), 1, longest))};
    throw Failure(ExitCode::usage,
                  fmt::format("'{}' is none of none, group and interval:MS", printable(text)));
}

std::uint64_t parse_age(std::string_view text) {
    const Nanoseconds age = parse_duration(text);
    if (age != 0ns && age < 1ms)
        throw Failure(ExitCode::usage, fmt::format("'{}' is less than 1ms", printable(text)));
    return static_cast<std::uint64_t>(age / 1ms);
}

std::uint64_t parse_count(std::string_view text) {
    return parse_number(text, 0, std::numeric_limits<std::uint64_t>::max());
}

void check_profile(std::string_view text) {
    if (text != "fast")
        throw Failure(ExitCode::usage,
                      fmt::format("'{}': there is one profile, fast", printable(text)));
}

// The options of `topic create`; what is not given follows the profile.
struct CreateArguments {
    std::string name;
    std::optional<Retention> retention;
    std::string profile;
    bool if_missing = false;
    std::optional<FullPolicy> full;
    std::optional<std::uint32_t> capacity;
    std::optional<std::uint32_t> slot;
    std::optional<std::uint64_t> max_event;
    std::optional<std::uint64_t> pool;
    std::optional<std::uint32_t> evict_after_ms;
    std::optional<std::uint32_t> hold_timeout_ms;
    std::optional<SyncWish> sync;
    std::optional<std::uint64_t> keep_bytes;
    std::optional<std::uint64_t> keep_age_ms;
    std::optional<std::uint64_t> keep_events;
    bool hold = false;

    [[nodiscard]] TopicOptions options() const {
        TopicOptions options;
        if (profile == "fast") {
            options.retention = Retention::memory;
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
        options.retention = retention.value_or(options.retention);
        const bool wants_disk = sync || keep_bytes || keep_age_ms || keep_events || hold;
        if (wants_disk && options.retention == Retention::memory)
            throw Failure(ExitCode::usage,
                          "--sync, --keep-… and --hold are for topics on disk, and this one is "
                          "to be in memory");
        if (sync) {
            options.sync = sync->sync;
            options.sync_interval_ms = sync->interval_ms;
        }
        options.keep_bytes = keep_bytes.value_or(options.keep_bytes);
        options.keep_age_ms = keep_age_ms.value_or(options.keep_age_ms);
        options.keep_events = keep_events.value_or(options.keep_events);
        options.hold = hold;
        return options;
    }
};

ExitCode create(const Context& context, const CreateArguments& arguments) {
    const std::string name = parse_name(arguments.name, "topic");
    const TopicOptions options = arguments.options();
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

void add_disk_options(Verb verb, CreateArguments& a) {
    verb.add_parsed(
        "--sync", a.sync, parse_sync, "none|interval:MS|group",
        "on disk: when events are made to survive a power loss: when the system gets "
        "round to it, at most 1 to 3600000 ms later, or at once and many together (group)");
    verb.add_parsed("--keep-bytes", a.keep_bytes, parse_size, "BYTES",
                    "on disk: the most its files take; the oldest go first; 0: no limit (1G)");
    verb.add_parsed("--keep-age", a.keep_age_ms, parse_age, "DURATION",
                    "on disk: older events may go; 0: no limit (0)");
    verb.add_parsed("--keep-events", a.keep_events, parse_count, "N",
                    "on disk: so many of the newest stay, older ones may go; 0: no limit (0)");
    verb.add_flag(
        "--hold", a.hold,
        "on disk: keep what a durable subscription has not acknowledged in spite of these "
        "limits, up to 4 times --keep-bytes");
}

} // namespace

void add_topic_create(Verb topic, Invocation& invocation) {
    const auto arguments = std::make_shared<CreateArguments>();
    CreateArguments& a = *arguments;
    const Verb verb = topic.add_verb("create", "make a topic");
    verb.add("NAME", a.name, "its name").required();
    verb.add_parsed("--retention", a.retention, parse_retention, "disk|memory",
                    "where its events live: in files, which survive everything but the disk, or in "
                    "memory alone (disk)");
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
    add_disk_options(verb, a);
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
