// shmbusd: the daemon that owns a bus. This file only wires its parts together.
//
//     listener ─▶ control (requests in, answers out) ─▶ registry (topics, sessions) ─▶ storage
//                                                           ▲                      (spiller, store)
//                           supervisor (watches processes) ─┘
//
// One thread with one event loop does all of this; storage has threads of its own, for whatever waits for
// a disk.
#include "base/socket_path.hpp"
#include "daemon/activation/helper.hpp"
#include "daemon/activation/systemd.hpp"
#include "daemon/config/live.hpp"
#include "daemon/control/server.hpp"
#include "daemon/control/session_server.hpp"
#include "daemon/housekeeping.hpp"
#include "daemon/parent/parent.hpp"
#include "daemon/registry/inheritance.hpp"
#include "daemon/supervisor/supervisor.hpp"
#include "daemon/system/hangup.hpp"
#include "daemon/system/listener.hpp"
#include "daemon/system/messages.hpp"
#include "daemon/system/service.hpp"
#include "daemon/system/state_path.hpp"
#include "daemon/system/watchdog.hpp"

#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <iostream>
#include <unistd.h>

namespace {

using namespace shmbus;

struct Options {
    std::string socket;
    bool user = false;
    bool system = false;
    std::string state_dir;
    std::string config;
    bool memory_only = false;
    Sequence first_sequence = 1;
    bool supervise = false;
    bool activate = false;
    unsigned hello_timeout_ms = 10'000;
};

/// What kj would print by itself goes to the log.
class LogCallback final : public kj::ExceptionCallback {
  public:
    void logMessage(kj::LogSeverity, const char* file, int line, int, kj::String&& text) override {
        system::log(system::Level::warning, fmt::format("{}:{}: {}", file, line, text.cStr()));
    }
};

base::BusScope scope_of(const Options& options) {
    if (options.user) return base::BusScope::user;
    return options.system ? base::BusScope::system : base::BusScope::automatic;
}

constexpr mode_t private_mode = 0600;
const std::string kept_listener = "listen";
const std::string activated_listener = "activated"; // FileDescriptorName= of our socket units
/// For bringing to disk what is in the rings; less than systemd waits.
constexpr auto longest_stop = std::chrono::seconds(60);

/// Everybody may connect to a system bus, and its policy decides; a user bus is its user's own.
mode_t mode_of(const Options& options) {
    const bool system = options.system || (!options.user && ::geteuid() == 0);
    return system ? 0666 : private_mode;
}

/// systemd's socket, or one that the daemon before has left, or a new one.
system::Listener listen(const Options& options, const std::string& path,
                        std::map<std::string, base::Fd>& left,
                        system::DescriptorStore& descriptors) {
    auto kept = left.extract(kept_listener);
    if (auto activated = left.extract(activated_listener)) {
        descriptors.forget(kept_listener);
        return system::Listener::activated(path, std::move(activated.mapped()));
    }
    return {path, mode_of(options), kept ? std::move(kept.mapped()) : base::Fd()};
}

/// What its user chose: by option, else by environment, else by configuration.
std::string socket_of(const Options& options, const config::Settings& settings) {
    const auto chosen = base::chosen_socket(options.socket);
    return base::find_socket_path(chosen.empty() ? settings.socket : chosen, scope_of(options));
}
bool keeps_nothing(const Options& options, const config::Settings& settings) {
    return options.memory_only || (settings.memory_only && options.state_dir.empty());
}
std::string state_of(const Options& options, const config::Settings& settings,
                     const std::string& socket) {
    return system::find_state_path(options.state_dir, settings.state_directory, socket);
}

/// The manager of whoever has this bus; by way of the helper, where there is one.
activation::Starter::Start start_consumers(bool is_private) {
    using namespace activation;
    const auto manager = is_private ? Manager::users : Manager::systems;
    return [manager](const Starter::Request& request) {
        if (manager == Manager::systems && ::geteuid() != 0 && is_helped(helper_socket))
            return ask_helper(helper_socket, request.of);
        return start_unit(manager, request.unit);
    };
}

/// Instead of being the daemon: starts the consumer that is asked for on stdin, if the configuration has it.
int activate(const Options& options) {
    return activation::answer(STDIN_FILENO, STDOUT_FILENO, [&](const activation::Of& of) {
        const auto consumers =
            config::load(config::find_source(options.config, base::chosen_socket(options.socket),
                                             scope_of(options)))
                .consumers;
        const auto found = consumers.find(of);
        if (found == consumers.end())
            return activation::Outcome{.problem = "root's configuration has no such [Activate]"};
        const auto manager = mode_of(options) == private_mode ? activation::Manager::users
                                                              : activation::Manager::systems;
        return activation::start_unit(manager, found->second.unit);
    });
}

/// Each round shows that the loop does not hang.
kj::Promise<void> go_round(kj::Timer& timer, const system::Watchdog& watchdog) {
    system::Watchdog::beat();
    const auto pause = watchdog.pause();
    if (!pause) return kj::NEVER_DONE;
    return timer.afterDelay(pause->count() * kj::MICROSECONDS).then([&timer, &watchdog] {
        return go_round(timer, watchdog);
    });
}

/// Stopping may take longer than a watchdog allows, so that is not watched.
void serve(kj::Promise<void> until, kj::AsyncIoContext& io) {
    const system::Watchdog watchdog;
    until.exclusiveJoin(go_round(io.provider->getTimer(), watchdog)).wait(io.waitScope);
}

void stop(registry::Registry& topics) {
    system::announce_stopping();
    system::log(system::Level::info, "stopping");
    for (const auto& name : topics.close_all(Deadline(longest_stop)))
        system::log(
            system::messages::topic_not_stored, {.topic = name},
            fmt::format("topic {}: not all is on disk yet; its next start shows what is lost",
                        name));
}

kj::Promise<void> reload_at_hangups(kj::UnixEventPort& signals, const system::Hangup& hangup,
                                    config::Live& live) {
    return signals.onSignal(SIGHUP).then([&](auto&&) -> kj::Promise<void> {
        if (hangup.is_end()) return kj::READY_NOW;
        live.reload();
        return reload_at_hangups(signals, hangup, live);
    });
}

kj::Promise<void> told_to_stop(kj::UnixEventPort& signals) {
    return signals.onSignal(SIGTERM).ignoreResult().exclusiveJoin(
        signals.onSignal(SIGINT).ignoreResult());
}

void open(std::optional<spiller::Storage>& storage, const Options& options,
          const config::Settings& settings, const std::string& socket) {
    if (keeps_nothing(options, settings)) return;
    storage.emplace(state_of(options, settings, socket));
    storage->belong_to(socket);
}

void say_ready(Housekeeping& house) {
    (void)house.tell();
    system::announce_ready();
}

/// A limit for files is memory's, too: then it is refused. A reload that is asked for now waits its turn.
void prepare_signals() {
    ::signal(SIGXFSZ, SIG_IGN);
    sigset_t early;
    ::sigemptyset(&early);
    ::sigaddset(&early, SIGHUP);
    ::sigprocmask(SIG_BLOCK, &early, nullptr);
}

void run(const Options& options) {
    prepare_signals();
    const auto source =
        config::find_source(options.config, base::chosen_socket(options.socket), scope_of(options));
    const auto settings = config::load(source);
    const auto path = socket_of(options, settings);
    system::raise_descriptor_limit();
    system::DescriptorStore descriptors;
    auto left = descriptors.inherit();
    const auto listener = listen(options, path, left, descriptors);
    if (!listener.is_activated()) descriptors.keep(kept_listener, listener.fd());
    std::optional<spiller::Storage> storage;
    open(storage, options, settings, path);
    const system::Hangup hangup;
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) kj::UnixEventPort::captureSignal(signal);
    auto io = kj::setupAsyncIo();         // ignores SIGPIPE
    io.waitScope.setBusyPollInterval(64); // who talks without end must not keep others waiting
    auto stopped = told_to_stop(io.unixEventPort);
    std::function<void(registry::SessionId)> on_gone;
    registry::Registry topics(options.first_sequence, storage ? &*storage : nullptr, &descriptors);
    registry::Sessions sessions([&](registry::SessionId id) { on_gone(id); });
    supervisor::Supervisor supervisor(io.unixEventPort, sessions, descriptors);
    const bool is_private = mode_of(options) == private_mode;
    activation::Activator activator(topics, start_consumers(is_private));
    Housekeeping house(io.provider->getTimer(), topics, sessions, activator);
    const auto watch = [&](registry::SessionId id, base::Fd pidfd) {
        supervisor.watch(id, std::move(pidfd));
        house.start();
    };
    registry::HandBack hand_back(topics, sessions, watch);
    control::Context context{
        topics,
        sessions,
        control::Policy(::geteuid(), control::rules_of_private_bus()), // until the settings hold
        io.provider->getTimer(),
        options.hello_timeout_ms * kj::MILLISECONDS,
        hand_back,
        watch,
        [&](registry::SessionId id) { return supervisor.watch_thread(id); },
        [&] { house.start(); },
        {}};
    config::Live live(source, settings, is_private, context, activator);
    control::Server server(io, listener.fd(), context);
    on_gone = [&](registry::SessionId id) {
        supervisor.forget(id);
        server.drop(id);
        house.start();
    };
    registry::Inheritance{
        std::move(left), topics, sessions, descriptors,
        [&](registry::SessionId id, base::Fd pidfd) { supervisor.watch_on(id, std::move(pidfd)); }}
        .enter_upon();
    topics.bring_back();
    house.start();
    auto serving = server.serve().eagerlyEvaluate(nullptr);
    system::log(system::Level::info, "listening at " + path);
    auto ready = live.make_topics().then([&] { say_ready(house); }).eagerlyEvaluate(nullptr);
    stopped = stopped.exclusiveJoin(reload_at_hangups(io.unixEventPort, hangup, live));
    serve(kj::mv(stopped).exclusiveJoin(kj::mv(serving)), io);
    stop(topics);
}

/// This program, or what is in its place by the time that it is run, as it was called, but for the option
/// that made it a parent.
std::vector<std::string> worker_command(int argc, char** argv) {
    std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe")};
    for (int i = 1; i < argc; ++i)
        if (std::string_view(argv[i]) != "--supervise") command.emplace_back(argv[i]);
    return command;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("The daemon of a shmbus event bus", "shmbusd");
    Options options;
    auto* socket = app.add_option("--socket", options.socket, "Listen at this path");
    auto* user = app.add_flag("--user", options.user,
                              "The user's bus: $XDG_RUNTIME_DIR/shmbus.sock, for this user alone "
                              "(default for users)");
    auto* system = app.add_flag("--system", options.system,
                                "The host's bus: /run/shmbus.sock, for root and the group shmbus "
                                "(default for root)");
    socket->excludes(user)->excludes(system);
    user->excludes(system);
    auto* state = app.add_option(
        "--state-dir", options.state_dir,
        "Directory for topics on disk, made with mode 0700 if missing (default: "
        "$STATE_DIRECTORY; /var/lib/shmbus for the host's bus, "
        "~/.local/state/shmbus for the user's; PATH.state for one at --socket PATH)");
    app.add_option(
           "--config", options.config,
           "Configuration; FILE.d/*.conf count, too (default: /etc/shmbus/shmbusd.conf for the "
           "host's bus, ~/.config/shmbus/shmbusd.conf for the user's; none for one at --socket "
           "PATH)")
        ->type_name("FILE");
    app.add_flag("--memory-only", options.memory_only, "Keep nothing on disk, all topics in memory")
        ->excludes(state);
    app.add_flag("--supervise", options.supervise,
                 "Run under a parent that keeps what is shared with clients, and starts the daemon "
                 "again when it dies (where systemd does not)");
    app.add_flag("--activate", options.activate,
                 "Start the one consumer that is asked for on stdin, and end "
                 "(shmbusd-activate@.service)");
    app.add_option("--test-first-sequence", options.first_sequence)->group(""); // not in --help
    app.add_option("--test-hello-timeout", options.hello_timeout_ms)->group("");
    app.set_version_flag("--version", std::string(control::server_version));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e); // --help, --version
        fmt::print(stderr, "shmbusd: {} (see shmbusd --help)\n", e.what());
        return 2;
    }
    const LogCallback log_callback;
    try {
        if (options.activate) return activate(options);
        if (options.supervise) return parent::run_parent(worker_command(argc, argv));
        run(options);
        return 0;
    } catch (const std::exception& e) {
        system::log(system::Level::error, e.what());
    } catch (const kj::Exception& e) {
        system::log(system::Level::error, e.getDescription().cStr());
    }
    return 1;
}
