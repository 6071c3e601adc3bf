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
};

std::optional<std::uint64_t> lag_of(const TopicInfo& topic, const SubscriptionInfo& subscription) {
    if (!subscription.cursor) return std::nullopt;
    return topic.head > *subscription.cursor ? topic.head - *subscription.cursor : 0;
}

std::string state_of(const SubscriptionInfo& subscription) {
    if (subscription.paused) return "paused";
    return subscription.holder ? "live" : "idle";
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
              {"holder", nullptr}};
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
                       lag ? fmt::to_string(*lag) : "-", state_of(one),
                       one.holder ? describe(*one.holder) : "-"});
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
        "holder        {}\n"
        "created       {} by uid {}\n",
        topic.name, one.name, state_of(one), one.cursor ? fmt::to_string(*one.cursor) : "not begun",
        lag ? counted(*lag, "event") : "-", one.holder ? describe(*one.holder) : "nobody",
        format_time(one.created), one.creator_uid));
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
                                 "created", a, [](Bus& bus, const Arguments& of) {
                                     bus.create_subscription(of.topic, of.name);
                                     if (of.to) bus.seek_subscription(of.topic, of.name, *of.to);
                                 });
    from.add_parsed("--from", a->to, parse_start, "all|new|last|SEQ|TIME", "where it begins");
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
