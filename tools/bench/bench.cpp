// `shmbus bench`: the bus beside its bare probes, on the bus it is pointed at.
//
// Each case runs in processes of its own, forked before the library is touched; its row of the report
// comes back through a pipe. Cases on disk have a bus of their own, too.
#include "tools/bench/bare.hpp"
#include "tools/command.hpp"
#include "tools/interrupt.hpp"
#include "tools/output.hpp"
#include "tools/own_bus.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::tools {

namespace {

using bench::Result;

enum class Quick { yes, no };

struct Case {
    const char* group;
    const char* name;
    std::unique_ptr<bench::Player> (*make)(bench::Pair&, const bench::Setup&);
    std::size_t bytes;
    std::uint64_t events; // in a slice of some 30 ms
    Quick quick = Quick::no;
    bench::Payload payload = bench::Payload::copied;
    bool exclusive = false;
    bool batches = false;
    bool spin = true;
    std::optional<Sync> disk = {}; // on disk, with that
    std::uint32_t members = 0;     // of a group
    bench::Handler handler = bench::Handler::none;
    [[nodiscard]] bool is_rate() const {
        return make != bench::latency && make != bench::durable && make != bench::recovery;
    }
};

using bench::catch_up;
using bench::durable;
using bench::fanout;
using bench::group;
using bench::latency;
using bench::recovery;
using bench::store;
using bench::throughput;
using enum bench::Payload;
using enum bench::Handler;

constexpr std::size_t K = 1024;
constexpr std::size_t M = 1024 * K;

constexpr Case on_disk(const char* name, decltype(Case::make) make, Sync sync, std::size_t bytes,
                       std::uint64_t events, Quick quick = Quick::no) {
    return {.group = "spill",
            .name = name,
            .make = make,
            .bytes = bytes,
            .events = events,
            .quick = quick,
            .disk = sync};
}

/// As many events as are handled in a time.
constexpr Case of_group(const char* name, std::uint32_t members, bench::Handler handler,
                        Quick quick = Quick::no) {
    return {"group", name, group, 64, 0, quick, copied, false, false, true, {}, members, handler};
}

constexpr Case cases[] = {
    {"latency", "latency, spinning", latency, 64, 50'000, Quick::yes},
    {"latency", "latency, exclusive", latency, 64, 50'000, Quick::yes, copied, true},
    {"latency", "latency, parked", latency, 64, 500, Quick::yes, copied, false, false, false},
    {"latency", "latency, spinning", latency, 1 * K, 10'000},
    {"latency", "latency, loan", latency, 16 * K, 3'000, Quick::no, loaned},
    {"latency", "latency, loan", latency, 64 * K, 1'000, Quick::no, loaned},
    {"latency", "latency, loan", latency, 1 * M, 60, Quick::no, loaned},
    {"latency", "latency, loan", latency, 4 * M, 15, Quick::no, loaned},
    {"latency", "latency, loan untouched", latency, 4 * M, 30'000, Quick::yes, untouched},
    {"throughput", "throughput, 1 to 1", throughput, 64, 500'000, Quick::yes},
    {"throughput", "throughput, exclusive", throughput, 64, 500'000, Quick::yes, copied, true},
    {"throughput", "throughput, batches", throughput, 64, 500'000, Quick::yes, copied, true, true},
    {"throughput", "throughput, 1 to 1", throughput, 1 * K, 60'000},
    {"throughput", "throughput, exclusive", throughput, 1 * K, 60'000, Quick::no, copied, true},
    {"throughput", "throughput, loan", throughput, 16 * K, 8'000, Quick::no, loaned},
    {"throughput", "throughput, loan", throughput, 64 * K, 2'000, Quick::no, loaned},
    {"throughput", "throughput, loan", throughput, 1 * M, 120, Quick::no, loaned},
    {"throughput", "throughput, loan", throughput, 4 * M, 30, Quick::no, loaned},
    {"fanout", "publish, 64 subscribers", fanout, 64, 300'000, Quick::yes},
    of_group("group of 1", 1, none, Quick::yes),
    of_group("group of 1, 1 us each", 1, spins_1_us),
    of_group("group of 2, 1 us each", 2, spins_1_us, Quick::yes),
    of_group("group of 4, 1 us each", 4, spins_1_us),
    of_group("group of 1, 1 ms each", 1, waits_1_ms),
    of_group("group of 2, 1 ms each", 2, waits_1_ms),
    of_group("group of 4, 1 ms each", 4, waits_1_ms),
    on_disk("store, sync none", store, Sync::none, 100, 300'000),
    on_disk("store, sync group", store, Sync::group, 100, 100'000),
    on_disk("store, sync none", store, Sync::none, 256, 200'000),
    on_disk("store, sync interval", store, Sync::interval, 256, 100'000),
    on_disk("store, sync group", store, Sync::group, 256, 100'000, Quick::yes),
    on_disk("store, sync none", store, Sync::none, 4 * K, 20'000),
    on_disk("store, sync group", store, Sync::group, 4 * K, 20'000),
    on_disk("store until durable", durable, Sync::group, 256, 200, Quick::yes),
    on_disk("catch up", catch_up, Sync::none, 100, 400'000, Quick::yes),
    on_disk("catch up", catch_up, Sync::none, 4 * K, 40'000),
    on_disk("recover", recovery, Sync::group, 16 * M, 1, Quick::yes),
    on_disk("recover", recovery, Sync::group, 256 * M, 1),
};

// Both are done in a fraction of it where nothing else runs; with the longest of each case together
// they keep the promises of shmbus.1.
constexpr bench::Effort full_effort{40, 20, std::chrono::seconds(20)};
constexpr bench::Effort quick_effort{10, 10, std::chrono::seconds(4)};

struct Options {
    std::string group = "all";
    bool quick = false;
    std::string directory;
};

/// Where the cases run.
struct Places {
    std::string socket = {};    // of the bus it is pointed at
    std::string daemon = {};    // of buses of their own: the program,
    std::string directory = {}; // and where they are
    std::string file_system = {};
};

Json row_of(const Case& which, const Places& places, const Result& result,
            const bench::Effort& effort) {
    const auto percentile = [&](double share) {
        return which.is_rate() || result.ratios.empty() ? Json()
                                                        : Json(result.single.percentile(share));
    };
    const auto number = [&](double value) { return result.ratios.empty() ? Json() : Json(value); };
    const double raw = bench::median(result.raw_ns);
    const auto interval = bench::interval_of_median(result.ratios);
    return {{"case", which.name},
            {"bytes", which.bytes},
            {"p50_ns", percentile(0.5)},
            {"p99_ns", percentile(0.99)},
            {"p999_ns", percentile(0.999)},
            {"events_per_s", number(1e9 / bench::median(result.bus_ns))},
            {"raw", number(which.is_rate() ? 1e9 / raw : raw)},
            {"ratio", number(bench::median(result.ratios))},
            {"ratio_low", number(interval.low)},
            {"ratio_high", number(interval.high)},
            {"slices", result.ratios.size()},
            {"disturbed", result.disturbed},
            {"enough", result.ratios.size() >= effort.enough},
            {"file_system", which.disk ? Json(places.file_system) : Json()}};
}

void write_row(int out, const Json& row) {
    const std::string line = to_line(row);
    if (::write(out, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        throw std::runtime_error("the result was not written");
}

void remove_topics(const bench::Setup& setup) {
    shmbus::Bus bus(shmbus::BusOptions{.socket = setup.socket});
    for (const auto& topic : bus.topics())
        if (topic.name.starts_with(setup.topic)) bus.remove_topic(topic.name, true);
}

/// Runs in a process of its own, and writes what it found to `out`.
[[noreturn]] void run_case(const Case& which, const Places& places, const bench::Effort& effort,
                           int out) {
    using bench::LonelyWord;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL); // nobody would read the row
    const std::size_t words = bench::probe_words * sizeof(LonelyWord);
    const std::size_t memory = which.disk ? 1 : bench::probe_bytes(which.bytes);
    const bench::Setup setup{.socket = places.socket,
                             .daemon = places.daemon,
                             .directory = places.directory,
                             .topic = fmt::format("bench-{}.", ::getpid()),
                             .bytes = which.bytes,
                             .payload = which.payload,
                             .exclusive = which.exclusive,
                             .batches = which.batches,
                             .spin = which.spin,
                             .sync = which.disk.value_or(Sync::none),
                             .events = which.events,
                             .members = which.members,
                             .handler = which.handler,
                             .words = reinterpret_cast<LonelyWord*>(bench::shared_memory(words)),
                             .memory = bench::shared_memory(memory)};
    try {
        bench::Pair pair(which.disk || which.members != 0 ? bench::Sides::one : bench::Sides::two);
        {
            Result result;
            result.is_rate = which.is_rate();
            const auto player = which.make(pair, setup);
            pair.meet();
            bench::measure(pair, *player, effort, result);
            if (!pair.is_first()) ::_exit(0);
            write_row(out, row_of(which, places, result, effort));
        }
        if (!which.disk) remove_topics(setup);
    } catch (const std::exception& e) {
        note(e.what());
        ::_exit(1);
    }
    ::_exit(0);
}

/// Takes everybody that is left of a case with it, as they go with the one who started them.
struct RunningCase {
    pid_t pid;
    void interrupt() const noexcept { ::kill(pid, SIGKILL); }
};

Json measure_case(const Case& which, const Places& places, const bench::Effort& effort) {
    int ends[2];
    if (::pipe(ends) != 0) throw Failure(ExitCode::failed, "pipe failed");
    block_interrupts();
    RunningCase running{::fork()};
    if (running.pid < 0) throw Failure(ExitCode::failed, "fork failed");
    if (running.pid == 0) {
        unblock_interrupts();
        run_case(which, places, effort, ends[1]);
    }
    const OnInterrupt on_interrupt(running);
    unblock_interrupts();
    ::close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(running.pid, &status, 0);
    while (::waitpid(-1, nullptr, 0) > 0) { // who was left alone: run_bench() adopts them
    }
    if (interrupted()) throw Interrupted();
    if (status != 0 || text.empty())
        throw Failure(ExitCode::failed,
                      fmt::format("{} ({} bytes) failed", which.name, which.bytes));
    return Json::parse(text);
}

/// Three digits or more: 245 ns, 18.2 us, 1.23 ms.
std::string time_of(const Json& ns) {
    if (ns.is_null()) return "";
    const auto value = ns.get<double>();
    if (value < 1e4) return fmt::format("{:.0f} ns", value);
    return value < 1e6 ? fmt::format("{:.1f} us", value / 1e3)
                       : fmt::format("{:.2f} ms", value / 1e6);
}

std::string rate_of(const Json& per_s) {
    if (per_s.is_null()) return "";
    const auto value = per_s.get<double>();
    if (value < 1e2) return fmt::format("{:.2f} /s", value);
    return value < 1e5 ? fmt::format("{:.2f} k/s", value / 1e3)
                       : fmt::format("{:.2f} M/s", value / 1e6);
}

std::string report(const Json& rows, const bench::Effort& effort) {
    using Align = Table::Align;
    Table table({{"case"},
                 {"bytes", Align::right},
                 {"p50", Align::right},
                 {"p99", Align::right},
                 {"p99.9", Align::right},
                 {"events", Align::right},
                 {"raw", Align::right},
                 {"ratio", Align::right},
                 {"95 %", Align::right},
                 {"slices", Align::right}});
    for (const auto& row : rows) {
        const bool none = row["ratio"].is_null();
        const auto ratio = [&](const char* name) {
            return none ? "" : fmt::format("{:.2f}", row[name].get<double>());
        };
        const auto slices = row["slices"].get<std::size_t>();
        table.add({row["case"], format_size(row["bytes"].get<std::uint64_t>()),
                   time_of(row["p50_ns"]), time_of(row["p99_ns"]), time_of(row["p999_ns"]),
                   rate_of(row["events_per_s"]),
                   row["p50_ns"].is_null() ? rate_of(row["raw"]) : time_of(row["raw"]),
                   ratio("ratio"), none ? "" : ratio("ratio_low") + "-" + ratio("ratio_high"),
                   row["enough"].get<bool>() ? fmt::to_string(slices)
                                             : fmt::format("{} of {}", slices, effort.enough)});
    }
    return table.text(colour_wanted(STDOUT_FILENO));
}

void warn_of_too_few(const Json& rows, const bench::Effort& effort) {
    const auto few =
        std::count_if(rows.begin(), rows.end(), [](const Json& row) { return !row["enough"]; });
    if (few == 0) return;
    note(
        fmt::format("{} with fewer than {} undisturbed slices: this machine had other things to do",
                    counted(static_cast<std::uint64_t>(few), "case"), effort.enough));
}

// How a connection to the bus ends, and why, on stderr. In a process of its own, as connecting
// starts a thread, and those that measure are forked from this one.
ExitCode try_bus(const BusOptions& options) {
    const pid_t child = ::fork();
    if (child < 0) throw Failure(ExitCode::failed, "fork failed");
    if (child == 0) {
        try {
            static_cast<void>(connect(options));
            ::_exit(0);
        } catch (const Error& error) {
            note(error.what());
            ::_exit(static_cast<int>(exit_code_of(error.code())));
        } catch (const std::exception& error) { // no memory, no thread
            note(error.what());
            ::_exit(static_cast<int>(ExitCode::failed));
        }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? static_cast<ExitCode>(WEXITSTATUS(status)) : ExitCode::failed;
}

std::vector<const Case*> cases_of(const Options& options) {
    std::vector<const Case*> chosen;
    for (const auto& which : cases)
        if ((options.group == "all" || options.group == which.group) &&
            (!options.quick || which.quick == Quick::yes))
            chosen.push_back(&which);
    return chosen;
}

ExitCode run_bench(const Context& context, const Options& options) {
    const auto chosen = cases_of(options);
    const auto is_on_disk = [](const Case* which) { return which->disk.has_value(); };
    Places places;
    if (!std::all_of(chosen.begin(), chosen.end(), is_on_disk)) {
        places.socket = socket_path(context.bus);
        if (const ExitCode code = try_bus(context.bus); code != ExitCode::done) return code;
    }
    std::optional<ScratchDirectory> scratch;
    if (std::any_of(chosen.begin(), chosen.end(), is_on_disk)) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1); // nobody writes there any more when it is removed
        places.daemon = find_daemon();
        scratch.emplace("bench",
                        options.directory); // now, not when everything else has been measured
        const auto parent = scratch->path().parent_path();
        places.file_system = file_system_of(parent);
        note(fmt::format("topics on disk are in {}: {}", parent.string(), places.file_system));
    }
    const bench::Effort effort = options.quick ? quick_effort : full_effort;
    Json rows = Json::array();
    for (const Case* which : chosen) {
        note(fmt::format("{}, {} …", which->name, format_size(which->bytes)));
        if (which->disk) {
            scratch.emplace("bench", options.directory);
            places.directory = scratch->path();
        }
        auto longer = effort;
        if (which->handler == waits_1_ms) longer.longest *= 2; // its slices are
        rows.push_back(measure_case(*which, places, longer));
    }
    write_out(context.json ? to_line(rows) : report(rows, effort));
    warn_of_too_few(rows, effort);
    return ExitCode::done;
}

constexpr auto groups = R"(Groups of cases:
  latency     half a round trip between two processes, by size of the payload
  throughput  events a second from one process to another, by size of the payload
  fanout      what a publisher does in a second with 64 subscribers, beside one
  group       events a second that a group handles, beside a plain subscription
  spill       topics on disk: storing, catching up, recovering; on a bus of its own)";

} // namespace

void add_bench(Verb root, Invocation& invocation) {
    auto options = std::make_shared<Options>();
    const Verb verb = root.add_verb("bench", "measure this bus beside bare probes");
    verb.add("GROUP", options->group,
             "which cases: latency, throughput, fanout, group, spill, or all (all)")
        .one_of({"latency", "throughput", "fanout", "group", "spill", "all"});
    verb.add_flag("--quick", options->quick, "under a minute: fewer cases, fewer slices");
    verb.add("--directory", options->directory, "where the disk is ($TMPDIR, or /var/tmp)")
        .type("DIR");
    verb.footer(groups);
    verb.callback([&invocation, options] {
        invocation.run = [options](const Context& context) { return run_bench(context, *options); };
    });
}

} // namespace shmbus::tools
