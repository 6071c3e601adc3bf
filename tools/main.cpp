// shmbus: the command line of the bus. This file reads the global options, finds the verb, and
// turns whatever it throws into one line on stderr and the documented exit code.
#include "tools/command.hpp"
#include "tools/help.hpp"
#include "tools/interrupt.hpp"
#include "tools/output.hpp"
#include "tools/text.hpp"

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace shmbus::tools {

namespace {

constexpr auto examples = R"(Examples:
  shmbusd &                               a bus
  shmbus topic create greetings           a topic
  shmbus sub greetings --from all &       somebody who listens
  shmbus pub greetings 'hello, world'     somebody who speaks

The bus is found at --socket, else $SHMBUS_SOCKET, else --user ($XDG_RUNTIME_DIR/shmbus.sock) or
--system (/run/shmbus.sock); without any of these the system bus for root, the user bus for others.
DURATION: 500ms, 5s, 2m, 1h.  BYTES: 64K, 16M, 1G.  TIME: RFC 3339, or -5m for five minutes ago.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out or fewer events than --count, 4 no daemon,
5 no such topic, 6 refused, 7 data damaged, 130 interrupted. More in shmbus(1).)";

void add_global_options(CLI::App& root, Context& context) {
    auto* const socket = root.add_option("--socket", context.bus.socket, "the bus at this socket")
                             ->type_name("PATH");
    auto* const user = root.add_flag_callback(
        "--user", [&] { context.bus.scope = BusOptions::Scope::user; }, "the user's bus");
    auto* const system = root.add_flag_callback(
        "--system", [&] { context.bus.scope = BusOptions::Scope::system; }, "the system's bus");
    socket->excludes(user)->excludes(system);
    user->excludes(system);
    root.add_flag("--json", context.json, "print JSON");
    root.set_version_flag("--version", "shmbus " SHMBUS_VERSION, "print the version and exit");
}

// The innermost verb that was recognised.
const CLI::App* parsed_verb(const CLI::App& root) {
    const CLI::App* app = &root;
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return app;
}

std::string listed(const std::vector<std::string>& words) {
    std::string list;
    for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
    return list;
}

// What is wrong with the command line, in one line: a verb that does not exist is the first
// suspect.
std::string usage_message(const CLI::App& root, const CLI::ParseError& error) {
    const CLI::App* const verb = parsed_verb(root);
    std::vector<std::string> verbs;
    for (const CLI::App* const app : verb->get_subcommands([](const CLI::App*) { return true; }))
        verbs.push_back(app->get_name());
    const std::vector<std::string> extra =
        root.remaining(true); // what no verb wanted falls to the root
    std::string problem = error.what();
    if (!verbs.empty() && !extra.empty() && !extra.front().starts_with('-')) {
        const std::string meant = nearest_word(extra.front(), verbs);
        problem = fmt::format("there is no '{}'; {}", printable(extra.front()),
                              meant.empty() ? "there are " + listed(verbs)
                                            : "did you mean '" + meant + "'?");
    } else if (!extra.empty()) {
        problem = fmt::format("not expected: '{}'", printable(extra.front()));
    } else if (!verbs.empty() && verb->get_require_subcommand_min() > 0) {
        problem = fmt::format("what about {}? There are {}", verb->get_name(), listed(verbs));
    }
    return fmt::format("{} (see {} --help)", problem, full_name(verb));
}

// CLI11 leaves a verb at "++". It might be somebody's DATA, so it must not vanish.
bool has_bare_plus_plus(int argc, const char* const* argv) {
    for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i)
        if (std::string_view(argv[i]) == "++") return true;
    return false;
}

// Fills the descriptors 0 to 2 if they are closed: with ones that fail, so that no file of the
// library's gets a number that is read, or printed to.
void open_standard_descriptors() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) == -1)
            static_cast<void>(::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY));
}

ExitCode fail(ExitCode code, const std::string& message) {
    note(message);
    return code;
}

ExitCode run(int argc, const char* const* argv, bool& output_closed) {
    Invocation invocation;
    invocation.run = show_status;
    CLI::App root("An event bus in shared memory for the processes of one host.", "shmbus");
    root.require_subcommand(0, 1);
    root.fallthrough(); // global options may stand behind the verb
    root.formatter(help_formatter());
    root.set_help_flag("-h,--help", "print this and exit");
    add_global_options(root, invocation.context);
    add_topic(root, invocation);
    add_pub(root, invocation);
    add_sub(root, invocation);
    add_bench(root, invocation);
    root.footer(examples); // last, or the verbs would inherit it
    if (has_bare_plus_plus(argc, argv))
        return fail(ExitCode::usage, "put -- before a '++' that stands alone");
    try {
        root.parse(argc, argv);
        return invocation.run(invocation.context);
    } catch (const CLI::CallForHelp&) {
        write_out(help_of(*parsed_verb(root)));
        return ExitCode::done;
    } catch (const CLI::CallForVersion& version) {
        write_out(std::string(version.what()) + '\n');
        return ExitCode::done;
    } catch (const CLI::ParseError& error) {
        return fail(ExitCode::usage, usage_message(root, error));
    } catch (const Failure& failure) {
        return fail(failure.code(), failure.what());
    } catch (const Error& error) {
        return fail(exit_code_of(error.code()), error.what());
    } catch (const Interrupted&) {
        return ExitCode::interrupted;
    } catch (const OutputClosed&) {
        output_closed = true;
        return ExitCode::failed;
    } catch (const std::exception& error) { // no memory, no thread
        return fail(ExitCode::failed, error.what());
    }
}

} // namespace

} // namespace shmbus::tools

int main(int argc, char** argv) {
    using namespace shmbus::tools;
    struct sigaction at_start {};
    ::sigaction(SIGPIPE, nullptr, &at_start);
    open_standard_descriptors();
    bool output_closed = false;
    ExitCode code = ExitCode::failed;
    try {
        handle_interrupts();
        // Ignored until here, so that a write that fails ends the verb in good order.
        ::signal(SIGPIPE, SIG_IGN);
        code = run(argc, argv, output_closed);
    } catch (const Failure& failure) {
        note(failure.what());
    } catch (const OutputClosed&) { // while it printed the help
        output_closed = true;
    }
    if (!output_closed) return static_cast<int>(code);
    if (at_start.sa_handler == SIG_IGN) {
        note("stdout: Broken pipe");
        return static_cast<int>(ExitCode::failed);
    }
    ::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
    return static_cast<int>(ExitCode::failed);
}
