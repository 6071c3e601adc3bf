// shmbus: the command line of the bus. This file reads the global options, finds the verb, and
// turns whatever it throws into one line on stderr and the documented exit code.
#include "tools/command.hpp"
#include "tools/interrupt.hpp"
#include "tools/output.hpp"

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

void add_global_options(Verb root, Context& context) {
    const Option socket =
        root.add("--socket", context.bus.socket, "the bus at this socket").type("PATH");
    const Option user = root.add_flag(
        "--user", [&] { context.bus.scope = BusOptions::Scope::user; }, "the user's bus");
    const Option system = root.add_flag(
        "--system", [&] { context.bus.scope = BusOptions::Scope::system; }, "the system's bus");
    socket.excludes(user).excludes(system);
    user.excludes(system);
    root.add_flag("--json", context.json, "print JSON");
    root.add_version("--version", "shmbus " SHMBUS_VERSION, "print the version and exit");
    root.footer(examples);
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
    CommandLine line("shmbus", "An event bus in shared memory for the processes of one host.");
    add_global_options(line.root(), invocation.context);
    add_topic(line.root(), invocation);
    add_pub(line.root(), invocation);
    add_sub(line.root(), invocation);
    add_subscription(line.root(), invocation);
    add_dlq(line.root(), invocation);
    add_scale(line.root(), invocation);
    add_spill(line.root(), invocation);
    add_bench(line.root(), invocation);
    add_doctor(line.root(), invocation);
    add_torture(line.root(), invocation);
    try {
        if (const auto answer = line.parse(argc, argv)) {
            write_out(*answer);
            return ExitCode::done;
        }
        return invocation.run(invocation.context);
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
