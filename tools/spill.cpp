// shmbus spill ls|verify|export: the files of a topic on disk, with or without a daemon.
#include "tools/command.hpp"
#include "tools/format.hpp"
#include "tools/output.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <shmbus/spill.hpp>

#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace shmbus::tools {

namespace {

constexpr std::size_t batch_bytes = 65'536;

constexpr auto examples = R"(Examples:
  shmbus spill ls orders                             which files a topic has, and what is in them
  shmbus spill verify orders                         reads every byte; exits with 7 if any is damaged
  shmbus spill export /var/lib/shmbus/topics/orders  without a daemon, as lines of JSON

TOPIC is a topic's name, for which the daemon is asked where it is. What has a '/' in it is a DIR, a
topic's directory; no daemon is needed then. The files are read as they are, and never changed; they
belong to the daemon's user.)";

struct Files {
    std::string topic;
    std::string directory;
    Sequence durable = 0; // up to here nothing may be missing
};

/// A topic's directory has its name.
std::string topic_of(const std::string& directory) {
    const auto path = std::filesystem::absolute(directory).lexically_normal();
    return (path.has_filename() ? path : path.parent_path()).filename().string();
}

Files find(const Context& context, const std::string& argument) {
    if (argument.find('/') != std::string::npos) return {topic_of(argument), argument};
    const std::string topic = parse_name(argument, "topic");
    TopicInfo info;
    with_remedy(Errc::no_daemon, "; without one, give the topic's directory, with a '/' in it",
                [&] {
                    Bus bus = connect(context.bus);
                    info = on_topic_there(context, topic, [&] { return bus.topic(topic); });
                });
    if (info.options.retention == Retention::memory)
        throw Failure(ExitCode::refused,
                      fmt::format("topic '{}' is in memory and has no files", topic));
    if (info.directory.empty())
        throw Failure(ExitCode::failed,
                      fmt::format("the daemon does not say where the files of topic '{}' are; give "
                                  "their directory",
                                  topic));
    return {topic, info.directory, info.durable};
}

std::vector<SegmentReport> read(const Files& files,
                                const std::function<void(const Event&)>& on_event,
                                const std::function<void(const Gap&)>& on_gap) {
    std::vector<SegmentReport> segments;
    with_remedy(Errc::permission,
                "; it belongs to the daemon's user: do this as that user, or as root",
                [&] { segments = read_spill(files.directory, on_event, on_gap, files.durable); });
    if (segments.empty()) note(fmt::format("no segments in {}", printable(files.directory)));
    return segments;
}

/// "3 aborted, 64 lost": sequences. Empty: none.
std::string counts_of(std::span<const SegmentReport> segments) {
    std::map<std::string, std::uint64_t> counts;
    for (const SegmentReport& segment : segments)
        for (const Gap& gap : segment.gaps) counts[name_of(gap.reason)] += gap.last - gap.first + 1;
    std::string text;
    for (const auto& [reason, count] : counts)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, reason);
    return text;
}

/// Sequences.
std::uint64_t damage_of(std::span<const SegmentReport> segments) {
    std::uint64_t damaged = 0;
    for (const SegmentReport& segment : segments)
        for (const SpillDamage& damage : segment.damages) damaged += damage.last - damage.first + 1;
    return damaged;
}

std::string summary_of(const Files& files, std::span<const SegmentReport> segments) {
    std::uint64_t events = 0;
    for (const SegmentReport& segment : segments) events += segment.events;
    const std::string gaps = counts_of(segments);
    const std::uint64_t damaged = damage_of(segments);
    return fmt::format("topic '{}': {}, {}{}; {}", printable(files.topic),
                       counted(segments.size(), "segment"), counted(events, "event"),
                       gaps.empty() ? "" : " and gaps: " + gaps,
                       damaged == 0 ? "no damage" : counted(damaged, "sequence") + " damaged");
}

Json json_of(const std::optional<SegmentReport::Time>& time) {
    return time ? Json(format_time(*time)) : Json(nullptr);
}

Json json_of(const SegmentReport& segment) {
    Json gaps = Json::array();
    for (const Gap& gap : segment.gaps)
        gaps.push_back({{"first", gap.first}, {"last", gap.last}, {"reason", name_of(gap.reason)}});
    Json json;
    json["segment"] = segment.file;
    json["first"] = segment.first;
    json["last"] = segment.last;
    json["bytes"] = segment.bytes;
    json["sealed"] = segment.sealed;
    json["events"] = segment.events;
    json["created"] = json_of(segment.created);
    json["oldest"] = json_of(segment.oldest);
    json["newest"] = json_of(segment.newest);
    json["gaps"] = gaps;
    return json;
}

std::string table_of(const std::vector<SegmentReport>& segments) {
    const auto shown = [](const std::optional<SegmentReport::Time>& time) {
        return time ? format_time(*time) : "-";
    };
    using enum Table::Align;
    Table table({{"FIRST", right},
                 {"LAST", right},
                 {"EVENTS", right},
                 {"BYTES", right},
                 {"STATE"},
                 {"CREATED"},
                 {"OLDEST"},
                 {"NEWEST"},
                 {"GAPS"}});
    for (const SegmentReport& segment : segments)
        table.add({fmt::to_string(segment.first), fmt::to_string(segment.last),
                   fmt::to_string(segment.events), format_size(segment.bytes),
                   segment.sealed ? "sealed" : "open", shown(segment.created),
                   shown(segment.oldest), shown(segment.newest), counts_of({&segment, 1})});
    return table.text(colour_wanted(STDOUT_FILENO));
}

ExitCode list(const Context& context, const std::string& argument) {
    const auto segments = read(find(context, argument), {}, {});
    if (context.json) {
        Json json = Json::array();
        for (const SegmentReport& segment : segments) json.push_back(json_of(segment));
        write_out(to_line(json));
    } else if (!segments.empty()) {
        write_out(table_of(segments));
    }
    return ExitCode::done;
}

ExitCode verify(const Context& context, const std::string& argument) {
    const Files files = find(context, argument);
    const auto segments = read(files, {}, {});
    Json json = Json::array();
    std::string lines;
    for (const SegmentReport& segment : segments)
        for (const SpillDamage& damage : segment.damages) {
            json.push_back({{"segment", segment.file},
                            {"first", damage.first},
                            {"last", damage.last},
                            {"reason", name_of(damage.fault)}});
            lines += fmt::format("corrupt {}..{}\n", damage.first, damage.last);
        }
    write_out(context.json ? to_line(json) : lines);
    note(summary_of(files, segments));
    return lines.empty() ? ExitCode::done : ExitCode::damaged;
}

ExitCode export_events(const Context& context, const std::string& argument) {
    const Files files = find(context, argument);
    const Format format("json");
    std::string buffer;
    const auto flush = [&](std::size_t room) {
        if (buffer.size() <= room) return;
        write_out(buffer);
        buffer.clear();
    };
    const auto segments = read(
        files,
        [&](const Event& event) {
            format.append(buffer, record_of(files.topic, event));
            flush(batch_bytes);
        },
        [&](const Gap& gap) {
            format.append_gap(buffer, files.topic, gap);
            flush(batch_bytes);
        });
    flush(0);
    if (damage_of(segments) != 0) note(summary_of(files, segments));
    return ExitCode::done;
}

using Run = ExitCode (*)(const Context&, const std::string&);

void add(Verb spill, Invocation& invocation, const std::string& name, const std::string& help,
         Run run) {
    const auto argument = std::make_shared<std::string>();
    const Verb verb = spill.add_verb(name, help);
    verb.add("TOPIC|DIR", *argument, "the topic, or its directory").required();
    verb.callback([argument, run, &invocation] {
        invocation.run = [argument, run](const Context& context) {
            return run(context, *argument);
        };
    });
}

} // namespace

void add_spill(Verb root, Invocation& invocation) {
    const Verb spill = root.add_verb("spill", "list, check, export the files of a topic on disk");
    spill.require_verb();
    spill.footer(examples);
    add(spill, invocation, "ls", "list the files, and what is in each", list);
    add(spill, invocation, "verify", "read every byte, and name each sequence that is damaged",
        verify);
    add(spill, invocation, "export", "print all events and gaps, as sub --json does",
        export_events);
}

} // namespace shmbus::tools
