// shmbus doctor: what is wrong with an installation and a bus that runs, and what to do about it.
//
//     examination  gathers facts: the only part that looks at anything
//     findings_of  what they mean, a pure function for each group of checks
//
// It works without a daemon and for any user, says what it cannot see, and changes nothing.
#include "tools/command.hpp"
#include "tools/doctor/examination.hpp"
#include "tools/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace shmbus::tools {

namespace {

using doctor::Examination;
using doctor::Findings;

Json json_of(const Examination& all, const Findings& findings) {
    Json json{{"healthy", !has_errors(findings)},
              {"socket", all.socket.path.empty() ? Json() : Json(all.socket.path)},
              {"daemon", nullptr},
              {"findings", Json::array()}};
    if (all.greeting.bus || all.daemon.is_known()) {
        json["daemon"] = {{"pid", nullptr}, {"version", nullptr}};
        if (all.daemon.is_known()) json["daemon"]["pid"] = all.daemon.process.pid;
        if (!all.greeting.version.empty()) json["daemon"]["version"] = all.greeting.version;
    }
    for (const auto& finding : findings) json["findings"].push_back(json_of(finding));
    return json;
}

std::string text_of(const Examination& all, const Findings& findings) {
    const bool colour = colour_wanted(STDOUT_FILENO);
    std::string text;
    for (const auto& finding : findings) text += text_of(finding, colour);
    return text + fmt::format("{}: {}\n", checked_in(all), tally_of(findings));
}

ExitCode run_doctor(const Context& context) {
    const auto all = doctor::examine(context);
    const auto findings = findings_of(all, context.self(), SHMBUS_VERSION);
    write_out(context.json ? to_line(json_of(all, findings)) : text_of(all, findings));
    if (!has_errors(findings)) return ExitCode::done;
    return lacks_daemon(all) ? ExitCode::no_daemon : ExitCode::failed;
}

} // namespace

void add_doctor(Verb root, Invocation& invocation) {
    const Verb verb = root.add_verb("doctor", "what is wrong here, and what to do about it");
    verb.footer(
        "Works without a daemon, and as any user; as root it sees more. It changes nothing.\n"
        "Ends with 0, also with warnings; with 1 when something is in error; with 4 when "
        "there is no daemon.");
    verb.callback([&invocation] { invocation.run = run_doctor; });
}

} // namespace shmbus::tools
