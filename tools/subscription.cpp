// shmbus subscription ls|create|info|seek|pause|resume|rm: the durable subscriptions of topics.
#include "tools/command.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace shmbus::tools {

namespace {

struct Arguments {
    std::string topic;
    std::string name;
    std::optional<Start> to;
    bool force = false;
    bool group = false;
    GroupOptions options;
};

std::optional<std::uint64_t> lag_of(const TopicInfo& topic, const SubscriptionInfo& subscription) {
    if (!subscription.cursor) return std::nullopt;
    return topic.head > *subscription.cursor ? topic.head - *subscription.cursor : 0;
}

std::string state_of(const SubscriptionInfo& subscription) {
    if (subscription.paused) return "paused";
    return is_held(subscription) ? "live" : "idle";
}

std::string holder_of(const SubscriptionInfo& subscription) {
    if (subscription.group) return counted(subscription.group->members.size(), "member");
    return subscription.holder ? describe(*subscription.holder) : "-";
}

Json json_of(const GroupInfo& group) {
    Json members = Json::array();
    for (const auto& member : group.members)
        members.push_back({{"pid", member.peer.pid},
                           {"uid", member.peer.uid},
                           {"command", member.peer.command},
                           {"slots", member.slots},
                           {"in_flight", member.in_flight},
                           {"position", member.position},
                           {"stalled", member.stalled}});
    Json back_off = Json::array();
    for (const auto pause : group.options.back_off) back_off.push_back(pause.count());
    return {{"members", members},
            {"in_flight", group.in_flight},
            {"waiting", group.waiting},
            {"redelivered", group.redelivered},
            {"set_aside", group.set_aside},
            {"order", name_of(group.options.order)},
            {"ack_wait_ms", group.options.ack_wait.count()},
            {"max_deliver", group.options.max_deliver},
            {"max_in_flight", group.options.max_in_flight},
            {"back_off_ms", back_off}};
}

std::string text_of(const GroupInfo& group) {
    std::string pauses;
    for (const auto pause : group.options.back_off)
        pauses += (pauses.empty() ? "" : ", ") + format_duration(pause);
    std::string text = fmt::format(
        "order         {}\n"
        "ack wait      {}\n"
        "max deliver   {}\n"
        "back-off      {}\n"
        "in flight     {}, at most {} a member\n"
        "waiting       {}, which failed and come again\n"
        "redelivered   {}\n"
        "set aside     {}\n"
        "members       {}\n",
        name_of(group.options.order), format_duration(group.options.ack_wait),
        group.options.max_deliver == 0 ? "without end" : fmt::to_string(group.options.max_deliver),
        pauses.empty() ? "none" : pauses, group.in_flight, group.options.max_in_flight,
        counted(group.waiting, "event"), group.redelivered, group.set_aside, group.members.size());
    using enum Table::Align;
    if (group.members.empty()) return text;
    Table table(
        {{"MEMBER"}, {"SLOTS", right}, {"IN FLIGHT", right}, {"POSITION", right}, {"STATE"}});
    for (const auto& member : group.members)
        table.add({describe(member.peer), fmt::to_string(member.slots),
                   fmt::to_string(member.in_flight), fmt::to_string(member.position),
                   member.stalled ? "stalled" : "live"});
    return text + table.text(colour_wanted(STDOUT_FILENO));
}

Json json_of(const TopicInfo& topic, const SubscriptionInfo& subscription) {
    const auto or_null = [](const std::optional<std::uint64_t>& value) {
        return value ? Json(*value) : Json();
    };
    Json json{{"topic", topic.name},
              {"name", subscription.name},
              {"cursor", or_null(subscription.cursor)},
              {"lag", or_null(lag_of(topic, subscription))},
              {"state", state_of(subscription)},
              {"created", format_time(subscription.created)},
              {"creator_uid", subscription.creator_uid},
              {"holder", nullptr},
              {"group", subscription.group ? json_of(*subscription.group) : Json()}};
    if (subscription.holder)
        json["holder"] = {{"pid", subscription.holder->pid},
                          {"uid", subscription.holder->uid},
                          {"command", subscription.holder->command}};
    return json;
}

SubscriptionInfo find(Bus& bus, const Arguments& arguments) {
    for (auto& one : bus.subscriptions(arguments.topic))
        if (one.name == arguments.name) return one;
    throw Failure(ExitCode::not_found, fmt::format("topic '{}' has no subscription '{}'",
                                                   arguments.topic, arguments.name));
}

ExitCode list(const Context& context, const Arguments& arguments) {
    Bus bus = connect(context.bus);
    std::vector<TopicInfo> topics;
    if (arguments.topic.empty())
        topics = bus.topics();
    else
        topics.push_back(
            on_topic_there(context, arguments.topic, [&] { return bus.topic(arguments.topic); }));
    using enum Table::Align;
    Table table(
        {{"TOPIC"}, {"SUBSCRIPTION"}, {"CURSOR", right}, {"LAG", right}, {"STATE"}, {"HOLDER"}});
    Json json = Json::array();
    for (const TopicInfo& topic : topics)
        for (const auto& one : bus.subscriptions(topic.name)) {
            const auto lag = lag_of(topic, one);
            json.push_back(json_of(topic, one));
            table.add({topic.name, one.name, one.cursor ? fmt::to_string(*one.cursor) : "-",
                       lag ? fmt::to_string(*lag) : "-", state_of(one), holder_of(one)});
        }
    if (context.json)
        write_out(to_line(json));
    else if (json.empty())
        note(fmt::format("no durable subscriptions; to make one: {} sub TOPIC --name NAME",
                         context.self()));
    else
        write_out(table.text(colour_wanted(STDOUT_FILENO)));
    return ExitCode::done;
}

ExitCode info(const Context& context, const Arguments& arguments) {
    Bus bus = connect(context.bus);
    const TopicInfo topic =
        on_topic_there(context, arguments.topic, [&] { return bus.topic(arguments.topic); });
    const SubscriptionInfo one = find(bus, arguments);
    if (context.json) {
        write_out(to_line(json_of(topic, one)));
        return ExitCode::done;
    }
    const auto lag = lag_of(topic, one);
    write_out(fmt::format(
        "topic         {}\n"
        "subscription  {}\n"
        "state         {}\n"
        "cursor        {}\n"
        "lag           {}\n"
        "{}        {}\n"
        "created       {} by uid {}\n{}",
        topic.name, one.name, state_of(one), one.cursor ? fmt::to_string(*one.cursor) : "not begun",
        lag ? counted(*lag, "event") : "-", one.group ? "group " : "holder",
        one.group    ? "yes"
        : one.holder ? describe(*one.holder)
                     : "nobody",
        format_time(one.created), one.creator_uid, one.group ? text_of(*one.group) : ""));
    return ExitCode::done;
}

/// What changes one subscription, and is done when it returns.
using Change = std::function<void(Bus&, const Arguments&)>;

ExitCode change(const Context& context, const Arguments& arguments, const char* done,
                const Change& how) {
    Bus bus = connect(context.bus);
    on_topic_there(context, arguments.topic, [&] { how(bus, arguments); });
    if (context.json)
        write_out(to_line(
            Json{{"topic", arguments.topic}, {"subscription", arguments.name}, {done, true}}));
    return ExitCode::done;
}

/// What cannot begin where it is to begin is not made.
void create(Bus& bus, const Arguments& of) {
    if (of.group)
        bus.create_group(of.topic, of.name, of.options);
    else
        bus.create_subscription(of.topic, of.name);
    if (!of.to) return;
    try {
        bus.seek_subscription(of.topic, of.name, *of.to);
    } catch (const Error&) {
        try {
            bus.remove_subscription(of.topic, of.name);
        } catch (const Error& left) {
            note(fmt::format("subscription '{}' of topic '{}' is there all the same: {}", of.name,
                             of.topic, left.what()));
        }
        throw;
    }
}

/// A verb that takes a topic and the name of a subscription.
Verb add_one(Verb parent, const std::string& verb_name, const std::string& help, Arguments& a) {
    const Verb verb = parent.add_verb(verb_name, help);
    const auto topic = [](const std::string& text) { return parse_name(text, "topic"); };
    const auto name = [](const std::string& text) { return parse_name(text, "subscription"); };
    verb.add_parsed("TOPIC", a.topic, topic, "", "its topic").required();
    verb.add_parsed("NAME", a.name, name, "", "its name").required();
    return verb;
}

Verb add_change(Verb parent, Invocation& invocation, const std::string& verb_name,
                const std::string& help, const char* done, const std::shared_ptr<Arguments>& a,
                Change how) {
    const Verb verb = add_one(parent, verb_name, help, *a);
    verb.callback([a, done, how = std::move(how), &invocation] {
        invocation.run = [a, done, how](const Context& context) {
            return change(context, *a, done, how);
        };
    });
    return verb;
}

std::chrono::milliseconds parse_milliseconds(const std::string& text,
                                             std::chrono::milliseconds least,
                                             std::chrono::milliseconds most) {
    const auto duration = parse_duration(text);
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(duration);
    if (rounded != duration)
        throw Failure(ExitCode::usage,
                      fmt::format("'{}' is no whole number of milliseconds", text));
    if (rounded < least || rounded > most)
        throw Failure(ExitCode::usage, fmt::format("'{}' is not within {} to {}", text,
                                                   format_duration(least), format_duration(most)));
    return rounded;
}

std::chrono::milliseconds parse_ack_wait(const std::string& text) {
    return parse_milliseconds(text, std::chrono::milliseconds(100), std::chrono::hours(24));
}

std::vector<std::chrono::milliseconds> parse_pauses(const std::string& text) {
    std::vector<std::chrono::milliseconds> pauses;
    for (std::size_t at = 0; at <= text.size();) {
        const auto comma = std::min(text.find(',', at), text.size());
        pauses.push_back(parse_milliseconds(text.substr(at, comma - at),
                                            std::chrono::milliseconds(0), std::chrono::hours(168)));
        at = comma + 1;
    }
    if (pauses.size() > GroupOptions::max_back_off)
        throw Failure(ExitCode::usage,
                      fmt::format("these are {} pauses, and there can be at most {}", pauses.size(),
                                  GroupOptions::max_back_off));
    return pauses;
}

void add_group_options(Verb verb, Arguments& a) {
    const auto group = verb.add_flag("--group", a.group,
                                     "a group: several processes share its work (sub --group)");
    const auto number = [](std::uint64_t least, std::uint64_t most) {
        return [=](const std::string& text) {
            return static_cast<std::uint32_t>(parse_number(text, least, most));
        };
    };
    auto& options = a.options;
    verb.add_parsed("--ack-wait", options.ack_wait, parse_ack_wait, "DURATION",
                    "what is not acknowledged for so long has failed, 100ms to 24h (30s)")
        .needs(group);
    verb.add_parsed("--max-deliver", options.max_deliver, number(0, 4'000), "N",
                    "how often an event is handed out before it is set aside in TOPIC.dlq; 0: "
                    "without end (5)")
        .needs(group);
    verb.add_parsed("--max-in-flight", options.max_in_flight, number(1, key_slots), "N",
                    "events that one member has in hand at a time (1024)")
        .needs(group);
    verb.add_parsed("--back-off", options.back_off, parse_pauses, "DURATION,…",
                    "how long to wait after the first failure, the second …; at most 8 (none)")
        .needs(group);
    verb.add(
            "--order",
            [&options](const std::string& text) {
                options.order = text == "none" ? Order::none : Order::per_key;
            },
            "whether an event that is not done holds up those of its key (per_key)")
        .type("per_key|none")
        .one_of({"per_key", "none"})
        .needs(group);
}

void add_verbs(Verb verb, Invocation& invocation) {
    const auto a = std::make_shared<Arguments>();
    const Verb ls = verb.add_verb("ls", "list them, of one topic or of all");
    ls.add_parsed(
        "TOPIC", a->topic, [](const std::string& text) { return parse_name(text, "topic"); }, "",
        "of this topic alone");
    ls.callback([a, &invocation] {
        invocation.run = [a](const Context& context) { return list(context, *a); };
    });
    add_one(verb, "info", "everything about one", *a).callback([a, &invocation] {
        invocation.run = [a](const Context& context) { return info(context, *a); };
    });
    const auto from = add_change(verb, invocation, "create",
                                 "make one; it begins with the oldest event, or where --from says",
                                 "created", a, create);
    from.add_parsed("--from", a->to, parse_start, "all|new|last|SEQ|TIME", "where it begins");
    add_group_options(from, *a);
    const auto seek = add_change(
        verb, invocation, "seek", "let it go on somewhere else", "moved", a,
        [](Bus& bus, const Arguments& of) { bus.seek_subscription(of.topic, of.name, *of.to); });
    seek.add_parsed("--to", a->to, parse_start, "all|new|last|SEQ|TIME",
                    "the event it goes on with")
        .required();
    add_change(verb, invocation, "pause", "its holder gets nothing until it is resumed", "paused",
               a, [](Bus& bus, const Arguments& of) { bus.pause_subscription(of.topic, of.name); });
    add_change(verb, invocation, "resume", "end a pause", "resumed", a,
               [](Bus& bus, const Arguments& of) { bus.resume_subscription(of.topic, of.name); });
    const auto rm = add_change(verb, invocation, "rm", "forget it and how far it came", "removed",
                               a, [](Bus& bus, const Arguments& of) {
                                   bus.remove_subscription(of.topic, of.name, of.force);
                               });
    rm.add_flag("--force", a->force, "also while a process holds it, which then ends");
}

} // namespace

void add_subscription(Verb root, Invocation& invocation) {
    const Verb verb =
        root.add_verb("subscription", "durable subscriptions: list, make, move, remove");
    verb.alias("subs");
    verb.require_verb();
    add_verbs(verb, invocation);
}

} // namespace shmbus::tools
