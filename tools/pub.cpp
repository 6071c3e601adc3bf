// shmbus pub: publishes one event, or a stream of them from stdin.
#include "tools/output.hpp"
#include "tools/publishing.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

namespace shmbus::tools {

namespace {

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
