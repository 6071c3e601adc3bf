// `shmbus bench`: the bus beside its bare probes, on the bus it is pointed at.
//
// Each case runs in a pair of processes of its own, forked before the library is touched; results
// come back through shared memory as they are, the report is made at the end.
#include "tools/bench/cases.hpp"
#include "tools/command.hpp"
#include "tools/output.hpp"
#include "tools/text.hpp"

#include <memory>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::tools {

namespace {

using bench::Result;

struct Case {
    const char* group;
    const char* name;
    std::size_t bytes;
    std::uint64_t events; // in a slice of about 20 ms
    std::unique_ptr<bench::Player> (*make)(bench::Pair&, const bench::Setup&);
    bool is_rate;
    bool in_quick;
    bool exclusive = false;
    bool batches = false;
    bool spin = true;
};

using bench::fanout;
using bench::latency;
using bench::throughput;

constexpr Case cases[] = {
    {"latency", "latency, spinning", 64, 50'000, latency, false, true},
    {"latency", "latency, spinning, exclusive", 64, 50'000, latency, false, true, true},
    {"latency", "latency, spinning", 1024, 20'000, latency, false, false},
    {"latency", "latency, spinning", 65'536, 1'000, latency, false, false},
    {"latency", "latency, parked", 64, 1'000, latency, false, true, false, false, false},
    {"throughput", "throughput, 1 to 1", 64, 500'000, throughput, true, true},
    {"throughput", "throughput, exclusive", 64, 500'000, throughput, true, true, true},
    {"throughput", "throughput, batches", 64, 500'000, throughput, true, true, true, true},
    {"throughput", "throughput, 1 to 1", 1024, 200'000, throughput, true, false},
    {"throughput", "throughput, exclusive", 1024, 200'000, throughput, true, false, true},
    {"fanout", "publish, 64 subscribers", 64, 300'000, fanout, true, true},
};

struct Options {
    std::string group = "all";
    bool quick = false;
};

/// Runs in a process of its own, and writes what it found to `out`.
[[noreturn]] void run_case(const Case& which, const std::string& socket, std::size_t slices,
                           int out) {
    bench::Setup setup{.socket = socket,
                       .topic = fmt::format("bench-{}", ::getpid()),
                       .bytes = which.bytes,
                       .exclusive = which.exclusive,
                       .batches = which.batches,
                       .spin = which.spin,
                       .events = which.events,
                       .words = reinterpret_cast<bench::LonelyWord*>(bench::shared_memory(4096)),
                       .ring = bench::shared_memory(bench::probe_ring_bytes)};
    int status = 1;
    try {
        bench::Pair pair;
        {
            Result result;
            result.is_rate = which.is_rate;
            const auto player = which.make(pair, setup);
            pair.meet();
            bench::measure(pair, *player, slices, result);
            if (!pair.is_first()) ::_exit(0);
            const auto interval = bench::interval_of_median(result.ratios);
            const Json row = {
                {"case", which.name},
                {"bytes", which.bytes},
                {"p50_ns", which.is_rate ? Json() : Json(result.single.percentile(0.5))},
                {"p99_ns", which.is_rate ? Json() : Json(result.single.percentile(0.99))},
                {"p999_ns", which.is_rate ? Json() : Json(result.single.percentile(0.999))},
                {"events_per_s", 1e9 / bench::median(result.bus_ns)},
                {"raw",
                 which.is_rate ? 1e9 / bench::median(result.raw_ns) : bench::median(result.raw_ns)},
                {"ratio", bench::median(result.ratios)},
                {"ratio_low", interval.low},
                {"ratio_high", interval.high},
                {"slices", result.ratios.size()},
                {"disturbed", result.disturbed}};
            const std::string line = to_line(row);
            status =
                ::write(out, line.data(), line.size()) == static_cast<ssize_t>(line.size()) ? 0 : 1;
        }
        shmbus::Bus bus(shmbus::BusOptions{.socket = socket});
        for (const auto& topic : bus.topics())
            if (topic.name.starts_with(setup.topic)) bus.remove_topic(topic.name, true);
    } catch (const std::exception& e) {
        note(e.what());
    }
    ::_exit(status);
}

Json measure_case(const Case& which, const std::string& socket, std::size_t slices) {
    int ends[2];
    if (::pipe(ends) != 0) throw Failure(ExitCode::failed, "pipe failed");
    const pid_t child = ::fork();
    if (child < 0) throw Failure(ExitCode::failed, "fork failed");
    if (child == 0) run_case(which, socket, slices, ends[1]);
    ::close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0 || text.empty())
        throw Failure(ExitCode::failed,
                      fmt::format("{} ({} bytes) failed", which.name, which.bytes));
    return Json::parse(text);
}

std::string time_of(const Json& ns) {
    return ns.is_null() ? "" : fmt::format("{} ns", ns.get<std::uint64_t>());
}

std::string report(const Json& rows) {
    using Align = Table::Align;
    Table table({{"case"},
                 {"bytes", Align::right},
                 {"p50", Align::right},
                 {"p99", Align::right},
                 {"p99.9", Align::right},
                 {"events/s", Align::right},
                 {"raw", Align::right},
                 {"ratio", Align::right},
                 {"95 %", Align::right},
                 {"slices", Align::right}});
    for (const auto& row : rows) {
        const bool is_rate = row["p50_ns"].is_null();
        table.add({row["case"], fmt::to_string(row["bytes"].get<std::uint64_t>()),
                   time_of(row["p50_ns"]), time_of(row["p99_ns"]), time_of(row["p999_ns"]),
                   fmt::format("{:.2f} M", row["events_per_s"].get<double>() / 1e6),
                   is_rate ? fmt::format("{:.2f} M/s", row["raw"].get<double>() / 1e6)
                           : fmt::format("{:.0f} ns", row["raw"].get<double>()),
                   fmt::format("{:.2f}", row["ratio"].get<double>()),
                   fmt::format("{:.2f}-{:.2f}", row["ratio_low"].get<double>(),
                               row["ratio_high"].get<double>()),
                   fmt::format("{}", row["slices"].get<std::uint64_t>())});
    }
    return table.text(colour_wanted(STDOUT_FILENO));
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

ExitCode run_bench(const Context& context, const Options& options) {
    const std::string socket = socket_path(context.bus);
    if (const ExitCode code = try_bus(context.bus); code != ExitCode::done) return code;
    const std::size_t slices = options.quick ? 10 : 20;
    Json rows = Json::array();
    for (const auto& which : cases) {
        if (options.group != "all" && options.group != which.group) continue;
        if (options.quick && !which.in_quick) continue;
        note(fmt::format("{}, {} bytes …", which.name, which.bytes));
        rows.push_back(measure_case(which, socket, slices));
    }
    write_out(context.json ? to_line(rows) : report(rows));
    return ExitCode::done;
}

} // namespace

void add_bench(CLI::App& root, Invocation& invocation) {
    auto options = std::make_shared<Options>();
    auto* verb = root.add_subcommand("bench", "measure this bus beside bare probes");
    verb->add_option("group", options->group, "which cases")
        ->check(CLI::IsMember({"latency", "throughput", "fanout", "all"}));
    verb->add_flag("--quick", options->quick, "under a minute: fewer cases, fewer slices");
    verb->callback([&invocation, options] {
        invocation.run = [options](const Context& context) { return run_bench(context, *options); };
    });
}

} // namespace shmbus::tools
