// shmbus dlq ls|show|replay|discard: the events that groups have set aside.
#include "tools/format.hpp"
#include "tools/letters.hpp"
#include "tools/output.hpp"
#include "tools/settling.hpp"
#include "tools/text.hpp"

#include <fmt/format.h>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace shmbus::tools {

namespace {

constexpr auto examples = R"(Examples:
  shmbus dlq ls orders             what groups of topic orders have set aside, and why
  shmbus dlq show orders 3         all of one letter
  shmbus dlq replay orders 3 5     publish these again, when their cause is gone
  shmbus dlq discard orders --all  what is left is of no use

Letters are events of topic orders.dlq, and stay there until they expire. What was replayed or
discarded is settled, and not listed any more but with --all.)";

struct Arguments {
    bool all = false;
    Sequence letter = 0;
    std::string topic;
};

std::string state_of(const Letter& letter) {
    if (!letter.settled) return "open";
    return letter.settled->replayed_as ? "replayed" : "discarded";
}

Json json_of(const Letter& letter) {
    Json json = json_of(letter.original());
    json["letter"] = letter.number;
    json["state"] = state_of(letter);
    json["replayed_as"] = nullptr;
    if (letter.settled && letter.settled->replayed_as)
        json["replayed_as"] = *letter.settled->replayed_as;
    put_bytes(json, "reason", letter.about.reason);
    json["attempts"] = letter.about.attempts;
    json["subscription"] = letter.about.subscription;
    json["set_aside"] = format_time(letter.set_aside);
    json["bytes"] = letter.bytes;
    json["headers_dropped"] = letter.about.headers_dropped;
    return json;
}

/// For a table.
std::string shortened(std::string_view text) {
    constexpr std::size_t longest = 48;
    std::string shown = printable(text);
    if (shown.size() > longest) shown.replace(longest - 3, std::string::npos, "...");
    return shown;
}

ExitCode list(const Context& context, const Arguments& arguments) {
    Bus bus = connect(context.bus);
    Letters letters(context, bus, arguments.topic);
    using enum Table::Align;
    Table table({{"LETTER", right},
                 {"SEQ", right},
                 {"SET ASIDE"},
                 {"GROUP"},
                 {"ATTEMPTS", right},
                 {"KEY"},
                 {"STATE"},
                 {"REASON"}});
    Json json = Json::array();
    std::uint64_t settled = 0;
    for (const auto& [number, letter] : letters.list()) {
        if (letter.settled && !arguments.all && ++settled != 0) continue;
        Json one = json_of(letter);
        for (const auto* not_read : {"payload", "headers"}) one.erase(not_read);
        json.push_back(std::move(one));
        table.add({fmt::to_string(number), fmt::to_string(letter.about.original.sequence),
                   format_time(letter.set_aside), letter.about.subscription,
                   fmt::to_string(letter.about.attempts), shortened(letter.key), state_of(letter),
                   shortened(letter.about.reason)});
    }
    if (context.json)
        write_out(to_line(json));
    else if (json.empty())
        note(fmt::format("topic '{}' has no dead letters{}", letters.topic(),
                         settled == 0 ? ""
                                      : fmt::format(" but {} that {} settled", settled,
                                                    settled == 1 ? "is" : "are")));
    else
        write_out(table.text(colour_wanted(STDOUT_FILENO)));
    return ExitCode::done;
}

std::string headers_of(const Letter& letter) {
    std::string text;
    for (const auto& [name, value] : letter.headers)
        text += fmt::format("header        {}={}\n", printable(name), printable(value));
    if (letter.about.headers_dropped != 0)
        text +=
            fmt::format("no room for   {} more\n", counted(letter.about.headers_dropped, "header"));
    return text;
}

std::string shown(const Letter& letter) {
    const auto& about = letter.about;
    std::string state = state_of(letter);
    if (letter.settled && letter.settled->replayed_as)
        state += fmt::format(" as event {}", *letter.settled->replayed_as);
    return fmt::format("letter        {}\n"
                       "state         {}\n"
                       "reason        {}\n"
                       "attempts      {}\n"
                       "group         {}\n"
                       "set aside     {}\n"
                       "original      {}\n"
                       "published     {} by publisher {}\n"
                       "key           {}\n"
                       "type          {}\n"
                       "event id      {}\n"
                       "correlation   {}\n"
                       "cause         {}\n"
                       "{}"
                       "payload       {}\n",
                       letter.number, state, printable(about.reason), about.attempts,
                       about.subscription, format_time(letter.set_aside), text_of(about.original),
                       format_time(about.time), about.publisher,
                       letter.key.empty() ? "-" : printable(letter.key), letter.type,
                       letter.id == 0 ? "-" : fmt::to_string(letter.id),
                       letter.correlation.empty() ? "-" : letter.correlation.to_string(),
                       about.cause ? text_of(*about.cause) : "-", headers_of(letter),
                       counted(letter.bytes, "byte")) +
           (letter.bytes == 0 ? "" : "\n" + printable(letter.payload) + "\n");
}

ExitCode show(const Context& context, const Arguments& arguments) {
    Bus bus = connect(context.bus);
    const Letter letter = Letters(context, bus, arguments.topic).whole(arguments.letter);
    write_out(context.json ? to_line(json_of(letter)) : shown(letter));
    return ExitCode::done;
}

void report(const Context& context, const SettleArguments& arguments,
            const std::vector<Settled>& settled) {
    if (!context.json) {
        note(fmt::format("{} {}", counted(settled.size(), "letter"),
                         arguments.replay ? "replayed" : "discarded"));
        return;
    }
    Json letters = Json::array();
    for (const Settled& one : settled) {
        Json json{{"letter", one.letter}, {"seq", one.original}};
        if (one.replayed_as) json["replayed_as"] = *one.replayed_as;
        letters.push_back(std::move(json));
    }
    write_out(
        to_line(Json{{"topic", arguments.topic}, {"letters", letters}, {"count", settled.size()}}));
}

ExitCode settle(const Context& context, const SettleArguments& arguments) {
    if (arguments.letters.empty() && !arguments.all)
        throw Failure(ExitCode::usage, "which letters? Their numbers, or --all");
    std::vector<Settled> settled;
    try {
        Settling(context, arguments).run(settled);
    } catch (...) {
        report(context, arguments, settled);
        throw;
    }
    report(context, arguments, settled);
    return ExitCode::done;
}

Sequence parse_letter(const std::string& text) {
    return parse_number(text, 1, std::numeric_limits<Sequence>::max() / 2);
}

Verb add_one(Verb dlq, const std::string& name, const std::string& help, std::string& topic) {
    const Verb verb = dlq.add_verb(name, help);
    verb.add_parsed(
            "TOPIC", topic, [](const std::string& text) { return parse_name(text, "topic"); }, "",
            "the topic of the originals")
        .required();
    return verb;
}

void add_settle(Verb dlq, Invocation& invocation, bool replay, const std::string& name,
                const std::string& help) {
    const auto a = std::make_shared<SettleArguments>();
    a->replay = replay;
    const Verb verb = add_one(dlq, name, help, a->topic);
    const auto texts = std::make_shared<std::vector<std::string>>();
    const Option letters =
        verb.add("SEQ", *texts, "the letters, by their numbers in TOPIC.dlq, which ls shows");
    verb.add_flag("--all", a->all, "all that are not settled").excludes(letters);
    verb.add_parsed("--timeout", a->timeout, parse_duration, "DURATION",
                    "how long each may wait for room and for the disk (as long as it takes)");
    verb.callback([a, texts, &invocation] {
        for (const auto& text : *texts) a->letters.push_back(parse_letter(text));
        invocation.run = [a](const Context& context) { return settle(context, *a); };
    });
}

} // namespace

void add_dlq(Verb root, Invocation& invocation) {
    const Verb dlq = root.add_verb("dlq", "dead letters: what groups have set aside");
    dlq.require_verb();
    dlq.footer(examples);
    const auto a = std::make_shared<Arguments>();
    const Verb ls = add_one(dlq, "ls", "list what is not settled", a->topic);
    ls.add_flag("--all", a->all, "what is settled, too");
    ls.callback([a, &invocation] {
        invocation.run = [a](const Context& context) { return list(context, *a); };
    });
    const Verb one = add_one(dlq, "show", "all of one letter", a->topic);
    one.add_parsed("SEQ", a->letter, parse_letter, "", "its number in TOPIC.dlq, which ls shows")
        .required();
    one.callback([a, &invocation] {
        invocation.run = [a](const Context& context) { return show(context, *a); };
    });
    add_settle(dlq, invocation, true, "replay",
               "publish originals again, to their topic, with the identity they had");
    add_settle(dlq, invocation, false, "discard", "settle letters without publishing anything");
}

} // namespace shmbus::tools
