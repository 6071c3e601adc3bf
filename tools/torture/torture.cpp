// `shmbus torture`: whether the bus keeps its promises on this kernel and this disk, whatever is killed.
#include "tools/command.hpp"
#include "tools/interrupt.hpp"
#include "tools/output.hpp"
#include "tools/text.hpp"
#include "tools/torture/run.hpp"
#include "tools/torture/worker.hpp"
#include "tools/units.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <unistd.h>

namespace shmbus::tools {

namespace {

using torture::Run;
using torture::Target;

struct Options {
    std::optional<std::uint64_t> seed;
    Nanoseconds duration = std::chrono::seconds(60);
    std::string directory;
    bool verbose = false;
};

constexpr auto targets = {Target::publisher, Target::subscriber, Target::consumer, Target::daemon};
constexpr auto reasons = {GapReason::aborted, GapReason::overrun, GapReason::evicted,
                          GapReason::lost,    GapReason::expired, GapReason::corrupt};
constexpr std::size_t violations_shown = 20;

/// What came of a run, and where.
struct Report {
    const Run& run;
    std::uint64_t seed;
    std::string file_system;
    bool was_interrupted = false;
    std::string kept = {}; // the directory, if there is something to look at in it

    [[nodiscard]] bool held() const { return run.checker().violations().empty(); }
};

template <class Numbers, class Kinds> Json by_name(const Kinds& kinds, Numbers number_of) {
    Json json = Json::object();
    for (const auto kind : kinds) json[name_of(kind)] = number_of(kind);
    return json;
}

template <class Numbers, class Kinds>
std::string listed(const Kinds& kinds, const char* format, Numbers number_of) {
    std::string text;
    for (const auto kind : kinds)
        if (const auto number = number_of(kind); number != 0)
            text +=
                fmt::format(fmt::runtime(format), text.empty() ? "" : ", ", name_of(kind), number);
    return text.empty() ? "none" : text;
}

double ms_of(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

Json json_of(const Report& report) {
    const auto& counts = report.run.checker().counts();
    const auto& tally = report.run.tally();
    Json violations = Json::array();
    for (const auto& violation : report.run.checker().violations())
        violations.push_back({{"topic", violation.topic.empty() ? Json() : Json(violation.topic)},
                              {"seq", violation.sequence},
                              {"what", violation.what}});
    const auto at = [](const auto& numbers) {
        return [&numbers](Target target) { return numbers.at(std::size_t(target)); };
    };
    return {{"held", report.held()},
            {"seed", report.seed},
            {"seconds", static_cast<double>(tally.lasted.count()) / 1e3},
            {"interrupted", report.was_interrupted},
            {"file_system", report.file_system},
            {"published", counts.published},
            {"refused", counts.refused},
            {"durable", counts.durable},
            {"delivered", counts.delivered},
            {"repeated", counts.repeated},
            {"discarded", counts.discarded},
            {"kills", by_name(targets, at(tally.kills))},
            {"stops", by_name(targets, at(tally.stops))},
            {"removals", tally.renewals},
            {"gaps", by_name(reasons, [&](GapReason reason) { return counts[reason]; })},
            {"longest_silence_ms",
             by_name(targets, [&](Target t) { return ms_of(report.run.silence().longest_ns(t)); })},
            {"violations", violations},
            {"directory", report.kept.empty() ? Json() : Json(report.kept)}};
}

std::string text_of(const Report& report) {
    const auto& counts = report.run.checker().counts();
    const auto& tally = report.run.tally();
    const auto of = [](const auto& numbers) {
        return listed(targets, "{}{} {}",
                      [&](Target target) { return numbers.at(std::size_t(target)); });
    };
    const auto silence = listed(targets, "{}{} {:.1f} ms", [&](Target target) {
        return ms_of(report.run.silence().longest_ns(target));
    });
    std::string text =
        fmt::format("seed {}, {:.1f} s on {}{}: {}\n", report.seed,
                    static_cast<double>(tally.lasted.count()) / 1e3, report.file_system,
                    report.was_interrupted ? ", interrupted" : "",
                    report.held() ? "all promises were kept"
                                  : counted(report.run.checker().violations().size(), "violation"));
    text += fmt::format("  published  {}; {} for sure on disk, {} refused\n", counts.published,
                        counts.durable, counts.refused);
    text += fmt::format("  delivered  {}; {} of them again, as they were not acknowledged\n",
                        counts.delivered, counts.repeated);
    text += fmt::format("  killed     {}\n", of(tally.kills));
    text += fmt::format("  stopped    {}\n", of(tally.stops));
    text += fmt::format("  removed    {}\n", counted(tally.renewals, "topic"));
    text +=
        fmt::format("  gaps       {}\n",
                    listed(reasons, "{}{} {}", [&](GapReason reason) { return counts[reason]; }));
    text += fmt::format("  silence    {}: the longest after a kill\n", silence);
    return text;
}

void show_violations(const Report& report) {
    const auto& violations = report.run.checker().violations();
    for (std::size_t i = 0; i < std::min(violations.size(), violations_shown); ++i) {
        const auto& violation = violations[i];
        auto where = violation.topic.empty() ? "the bus" : violation.topic;
        if (violation.sequence != 0) where += fmt::format(", sequence {}", violation.sequence);
        note(fmt::format("{}: {}", where, violation.what));
    }
    note(fmt::format("--seed {} does the same things at the same times; the daemon's files and log "
                     "are kept in {}",
                     report.seed, report.kept));
}

/// One line on a terminal, again and again.
class Progress {
  public:
    explicit Progress(bool wanted) : is_shown_(wanted && ::isatty(STDERR_FILENO) == 1) {}
    ~Progress() { show("\r\x1b[K"); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void update(const Run& run, Nanoseconds duration) const {
        const auto& tally = run.tally();
        const auto sum = [](const auto& numbers) {
            return std::accumulate(numbers.begin(), numbers.end(), std::uint64_t{0});
        };
        show(fmt::format("\r{} of {}: {} published, {} delivered, {} killed, {} stopped\x1b[K",
                         format_duration(std::chrono::floor<std::chrono::seconds>(tally.lasted)),
                         format_duration(duration), run.checker().counts().published,
                         run.checker().counts().delivered, sum(tally.kills), sum(tally.stops)));
    }

  private:
    void show(const std::string& text) const noexcept {
        if (is_shown_) static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
    }
    bool is_shown_;
};

/// @throws Failure(refused)
void expect_room(const std::filesystem::path& directory) {
    const auto space = std::filesystem::space(directory);
    const std::uint64_t needed = torture::disk_bytes(torture::make_cast());
    // So much of a disk shmbusd leaves to others.
    const auto reserve = std::min<std::uint64_t>(space.capacity / 20, std::uint64_t{1} << 30U);
    if (space.available >= needed + reserve) return;
    throw Failure(ExitCode::refused,
                  fmt::format("{} has {} free; this takes up to {}, and shmbusd leaves {} of that "
                              "disk to others: give another place with --directory",
                              directory.string(), format_size(space.available), format_size(needed),
                              format_size(reserve)));
}

/// Interrupted, a run is over; what was seen until then is reported.
struct Wakeup {
    void interrupt() const noexcept {}
};

ExitCode run_torture(const Context& context, const Options& options) {
    const auto daemon = find_daemon();
    ScratchDirectory scratch("torture", options.directory);
    const auto place = scratch.path().parent_path();
    expect_room(place);
    const std::uint64_t seed = options.seed.value_or(std::random_device{}());
    Wakeup wakeup;
    const OnInterrupt on_interrupt(wakeup);
    OwnBus bus(daemon, scratch.path(), OwnBus::Supervised::yes);
    note(fmt::format("seed {}, for {}, in {}", seed, format_duration(options.duration),
                     place.string()));
    Run run(bus, seed, [&](const std::string& deed) {
        if (options.verbose) note(deed);
    });
    Report report{.run = run, .seed = seed, .file_system = file_system_of(place)};
    {
        const Progress progress(!options.verbose);
        try {
            run.play(options.duration, [&] { progress.update(run, options.duration); });
        } catch (const Interrupted&) {
            report.was_interrupted = true;
        } catch (const std::exception& error) { // nobody answers any more
            scratch.keep();
            throw Failure(ExitCode::failed,
                          fmt::format("{}; seed {}, the daemon's files and log are kept in {}",
                                      error.what(), seed, scratch.path().string()));
        }
    }
    if (!report.held()) {
        scratch.keep();
        report.kept = scratch.path();
        show_violations(report);
    }
    write_out(context.json ? to_line(json_of(report)) : text_of(report));
    if (!report.held()) return ExitCode::damaged;
    return report.was_interrupted ? ExitCode::interrupted : ExitCode::done;
}

ExitCode work() {
    try {
        auto channel = torture::Channel::inherited();
        try {
            if (channel.task().role == torture::Role::publisher)
                publish_on(channel);
            else
                subscribe_on(channel);
            return ExitCode::done;
        } catch (const std::exception& error) {
            const auto* const known = dynamic_cast<const Error*>(&error);
            if (known != nullptr && torture::passes(known->code()))
                channel.shared().in_vain_ns = torture::monotonic_ns();
            channel.shared().trouble.set(error.what());
        }
    } catch (const std::exception& error) {
        note(fmt::format("this is for `shmbus torture` to call: {}", error.what()));
    }
    return ExitCode::failed;
}

constexpr auto examples = R"(Examples:
  shmbus torture                          a minute
  shmbus torture --duration 8h --directory /srv
  shmbus torture --seed 42 -v             the same again, and what is done to whom)";

} // namespace

void add_torture(Verb root, Invocation& invocation) {
    auto options = std::make_shared<Options>();
    const Verb verb = root.add_verb("torture", "kill everything, and see whether the bus holds");
    verb.add_parsed(
        "--seed", options->seed,
        [](const std::string& text) { return parse_number(text, 0, ~std::uint64_t{0}); }, "N",
        "what decides who is killed, and when (one at random)");
    verb.add_parsed("--duration", options->duration, parse_duration, "DURATION",
                    "how long, before the end and its checks (60s)");
    verb.add("--directory", options->directory, "where the disk is ($TMPDIR, or /var/tmp)")
        .type("DIR");
    verb.add_flag("-v,--verbose", options->verbose, "say what is done to whom");
    verb.footer(examples);
    verb.callback([&invocation, options] {
        invocation.run = [options](const Context& context) {
            return run_torture(context, *options);
        };
    });

    const auto name = std::make_shared<std::string>(); // for ps(1)
    const Verb worker = root.add_verb("torture-worker", "one of the processes of torture");
    worker.hide();
    worker.add("NAME", *name, "what it is").required();
    worker.callback(
        [&invocation, name] { invocation.run = [name](const Context&) { return work(); }; });
}

} // namespace shmbus::tools
