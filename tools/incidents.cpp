// shmbus topic incidents: what has happened to a topic beside its events.
#include "tools/command.hpp"
#include "tools/output.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace shmbus::tools {

namespace {

struct Word {
    IncidentKind kind;
    const char* word; // in JSON
    const char* said; // to people
};
constexpr std::array words{
    Word{IncidentKind::publisher_opened, "publisher_opened", "publishes"},
    Word{IncidentKind::publisher_closed, "publisher_closed", "publishes no more"},
    Word{IncidentKind::subscriber_opened, "subscriber_opened", "subscribes"},
    Word{IncidentKind::subscriber_closed, "subscriber_closed", "subscribes no more"},
    Word{IncidentKind::publisher_died, "publisher_died", "a publisher died"},
    Word{IncidentKind::subscriber_died, "subscriber_died", "a subscriber died"},
    Word{IncidentKind::aborted, "aborted", "given up: its publisher died"},
    Word{IncidentKind::stalled, "stalled", "given up: its publisher stood still"},
    Word{IncidentKind::evicted, "evicted", "too far behind: waited for no more"},
    Word{IncidentKind::stolen, "stolen", "took the subscription over"},
    Word{IncidentKind::sought, "sought", "moved the subscription"},
    Word{IncidentKind::paused, "paused", "paused the subscription"},
    Word{IncidentKind::resumed, "resumed", "resumed the subscription"},
    Word{IncidentKind::removed, "removed", "removed the subscription"},
    Word{IncidentKind::lost, "lost", "lost with the memory"},
    Word{IncidentKind::degraded, "degraded", "the disk takes no events"},
    Word{IncidentKind::recovered, "recovered", "the disk takes events again"},
    Word{IncidentKind::draining, "draining", "drains the topic"},
    Word{IncidentKind::reopened, "reopened", "opened the topic again"},
    Word{IncidentKind::adopted, "adopted", "the daemon was started again"},
    Word{IncidentKind::handed_back, "handed_back", "clients handed the memory back"},
};

const Word* word_of(IncidentKind kind) {
    const auto* const found = std::find_if(words.begin(), words.end(),
                                           [&](const Word& word) { return word.kind == kind; });
    return found == words.end() ? nullptr : found;
}

std::string number_of(IncidentKind kind) { return fmt::format("incident {}", unsigned(kind)); }

Json json_of(const Incident& incident) {
    const Word* const word = word_of(incident.kind);
    Json json{{"number", incident.number},
              {"time", format_time(incident.time)},
              {"what", word != nullptr ? word->word : number_of(incident.kind)}};
    if (incident.pid != 0)
        json.update({{"pid", incident.pid}, {"uid", incident.uid}, {"command", incident.command}});
    if (!incident.unit.empty()) json["unit"] = incident.unit;
    if (!incident.name.empty()) json["name"] = incident.name;
    if (incident.first != 0) json["first"] = incident.first;
    if (incident.last != 0 || incident.kind == IncidentKind::sought) json["last"] = incident.last;
    return json;
}

std::string events_of(const Incident& incident) {
    const bool is_moved = incident.kind == IncidentKind::sought;
    if (incident.last == 0 && !is_moved) return {};
    if (incident.first == 0) return fmt::format("behind {}", incident.last);
    return incident.first == incident.last ? fmt::to_string(incident.last)
                                           : fmt::format("{} to {}", incident.first, incident.last);
}

std::string who_did(const Incident& incident) {
    if (incident.pid == 0) return {};
    return fmt::format("{} (pid {}){}", printable(incident.command), incident.pid,
                       incident.unit.empty() ? "" : ", " + printable(incident.unit));
}

ExitCode show(const Context& context, const std::string& name) {
    const std::string topic = parse_name(name, "topic");
    Bus bus = connect(context.bus);
    const auto incidents = on_topic_there(context, topic, [&] { return bus.incidents(topic); });
    if (context.json) {
        Json json = Json::array();
        for (const Incident& incident : incidents) json.push_back(json_of(incident));
        write_out(to_line(json));
        return ExitCode::done;
    }
    Table table({{"TIME"}, {"WHAT"}, {"EVENTS"}, {"NAME"}, {"WHO"}});
    for (const Incident& incident : incidents) {
        const Word* const word = word_of(incident.kind);
        table.add({format_time(incident.time),
                   word != nullptr ? word->said : number_of(incident.kind), events_of(incident),
                   printable(incident.name), who_did(incident)});
    }
    if (incidents.empty())
        note(fmt::format("nothing has happened to topic '{}' yet", topic));
    else
        write_out(table.text(colour_wanted(STDOUT_FILENO)));
    return ExitCode::done;
}

} // namespace

void add_topic_incidents(Verb topic, Invocation& invocation) {
    const auto name = std::make_shared<std::string>();
    const Verb verb =
        topic.add_verb("incidents", "who came, went and died, what was given up or lost, and when");
    verb.add("NAME", *name, "the topic").required();
    verb.callback([name, &invocation] {
        invocation.run = [name](const Context& context) { return show(context, *name); };
    });
}

} // namespace shmbus::tools
