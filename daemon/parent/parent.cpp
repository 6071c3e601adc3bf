#include "daemon/parent/parent.hpp"

#include "base/system_error.hpp"
#include "daemon/parent/descriptor_store.hpp"
#include "daemon/parent/notify_socket.hpp"
#include "daemon/parent/signals.hpp"
#include "daemon/system/closer.hpp"
#include "daemon/system/hangup.hpp"
#include "daemon/system/log.hpp"
#include "daemon/system/service.hpp"
#include "shmbus/types.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace shmbus::parent {

namespace {

using system::Level;

constexpr pid_t nobody = -1;
/// More than a socket's queue (net.unix.max_dgram_qlen) ever holds.
constexpr int longest_queue = 4096;
constexpr int status_cannot_run = 127; // as a shell has it

/// What is opened later must not become a standard stream, here or in a worker.
void open_standard_streams() {
    int fd = -1;
    do fd = ::open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) ::close(fd);
}

/// All but what the parent needs: its own, and those of one message, from whomever it comes.
std::size_t most_stored() {
    constexpr std::size_t own = 512;
    const std::size_t limit = system::descriptor_limit();
    return limit - std::min(own, limit / 2);
}

std::string end_of(int status) {
    if (WIFEXITED(status)) return fmt::format("exited with status {}", WEXITSTATUS(status));
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return name == nullptr ? fmt::format("died of signal {}", WTERMSIG(status))
                           : fmt::format("died of SIG{}", name);
}

/// For poll(): -1 for ever.
int milliseconds_to(Deadline deadline) {
    if (deadline.is_never()) return -1;
    if (deadline.passed()) return 0;
    const auto left = deadline.when() - Deadline::Clock::now();
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

class Parent {
  public:
    Parent(const std::vector<std::string>& command, BackOff back_off, Patience patience)
        : command_(command), signals_({SIGTERM, SIGINT, SIGHUP}), store_(most_stored()),
          back_off_(back_off), patience_(patience) {
        store_.add_inherited();
    }
    int run();

  private:
    void start();
    [[noreturn]] void become_worker(pid_t parent) noexcept;
    void wait() const;
    [[nodiscard]] bool worker_is_dead() const;
    void hear();
    std::string heed(Notification& message);
    void forward(int signal);
    void kill_if_it_hangs();
    void bury();

    const std::vector<std::string>& command_;
    const system::Hangup hangup_;
    Signals signals_;
    NotifySocket notifications_;
    DescriptorStore store_;
    BackOff back_off_;
    system::ThrottledLog log_;
    Deadline next_start_ = Deadline::now();
    const Patience patience_;
    Deadline hangs_at_ = Deadline::never(); // unless it says before that it is ready, or well
    pid_t worker_ = nobody;
    bool ready_ = false;        // this worker
    bool ever_ready_ = false;   // any
    bool first_ = true;         // none has died yet
    bool reloading_ = false;    // so it said
    bool stopping_ = false;     // a signal was passed on
    std::optional<int> status_; // to end with
};

/// Signals come before the look at the worker, so that no SIGCHLD is taken in vain; and who was seen
/// dead has said all it ever will, which is heard before it is buried.
int Parent::run() {
    while (!status_) {
        if (worker_ == nobody && next_start_.passed()) start();
        wait();
        while (const int signal = signals_.take())
            if (signal != SIGCHLD) forward(signal);
        const bool dead = worker_is_dead();
        hear();
        if (dead)
            bury();
        else
            kill_if_it_hangs();
    }
    return *status_;
}

void Parent::start() {
    const pid_t parent = ::getpid();
    worker_ = ::fork();
    if (worker_ == 0) become_worker(parent);
    ready_ = false;
    hangs_at_ = patience_.start;
    if (worker_ != nobody) return;
    const auto delay = back_off_.next();
    next_start_ = delay;
    log_.log(Level::error, fmt::format("starting a worker: {}; trying again in {} ms",
                                       std::strerror(errno), delay.count()));
}

/// No thread of the parent can have been in the middle of something: those it has only close descriptors.
void Parent::become_worker(pid_t parent) noexcept {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) std::_Exit(EXIT_FAILURE); // it died before
    ::setenv("NOTIFY_SOCKET", notifications_.address().c_str(), 1);
    ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("WATCHDOG_USEC", std::to_string(patience_.watchdog.count()).c_str(), 1);
    std::vector<char*> arguments;
    for (const auto& argument : command_) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    store_.pass_on();
    signals_.restore();
    ::execv(arguments[0], arguments.data());
    system::log(Level::error, fmt::format("running {}: {}", command_[0], std::strerror(errno)));
    std::_Exit(status_cannot_run);
}

void Parent::wait() const {
    pollfd sources[] = {{.fd = notifications_.fd().get(), .events = POLLIN, .revents = 0},
                        {.fd = signals_.fd().get(), .events = POLLIN, .revents = 0}};
    const Deadline deadline = worker_ == nobody ? next_start_ : hangs_at_;
    if (::poll(sources, std::size(sources), milliseconds_to(deadline)) < 0 && errno != EINTR)
        base::throw_system("waiting for a worker");
}

bool Parent::worker_is_dead() const {
    siginfo_t info{};
    return worker_ != nobody &&
           ::waitid(P_PID, static_cast<id_t>(worker_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == worker_;
}

/// As long as a worker is not buried, its number is nobody else's.
void Parent::hear() {
    for (int i = 0; i < longest_queue; ++i) {
        auto message = notifications_.receive();
        if (!message) return;
        const bool is_strangers = message->sender != worker_;
        if (is_strangers)
            for (auto& fd : message->descriptors) system::close_elsewhere(std::move(fd));
        const std::string trouble = is_strangers              ? "it is not the worker"
                                    : !message->fault.empty() ? message->fault
                                                              : heed(*message);
        if (!trouble.empty())
            log_.log(Level::warning, fmt::format("a notification of process {} is ignored: {}",
                                                 message->sender, trouble));
    }
}

/// Descriptors that are not kept are closed with the message, which is all that BARRIER=1 asks for.
/// @returns what is wrong with it
std::string Parent::heed(Notification& message) {
    const auto name = message.value_of("FDNAME");
    if (message.has("BARRIER=1")) // voids what comes with it, as with systemd
        return message.assignments.size() == 1 ? "" : "BARRIER=1 stands alone";
    if (message.has("READY=1")) {
        ready_ = true;
        back_off_.reset();
        hangs_at_ = patience_.watchdog;
        if (!std::exchange(ever_ready_, true)) system::announce_ready();
        if (std::exchange(reloading_, false)) system::announce_reloaded();
    }
    if (message.has("RELOADING=1")) {
        reloading_ = true;
        system::announce_reloading();
    }
    if (message.has("WATCHDOG=1")) {
        if (ready_ && !hangs_at_.is_never()) hangs_at_ = patience_.watchdog;
        system::announce_well();
    }
    if (const auto status = message.value_of("STATUS")) system::announce_status(*status);
    if (message.has("STOPPING=1")) {
        hangs_at_ = Deadline::never(); // that takes its time
        system::announce_stopping();
    }
    if (message.has("FDSTOREREMOVE=1")) {
        if (!name) return "FDSTOREREMOVE=1 needs FDNAME=";
        store_.remove(*name);
    } else if (message.has("FDSTORE=1")) {
        for (auto& fd : message.descriptors)
            if (!store_.add(std::move(fd), name.value_or("")))
                return "no room for its descriptors (raise the limit: ulimit -n)";
    }
    return {};
}

/// From a terminal the worker has it twice, which changes nothing. One that is started later reads its
/// configuration anyway.
void Parent::forward(int signal) {
    if (signal == SIGHUP && !hangup_.is_end()) {
        if (worker_ != nobody) ::kill(worker_, SIGHUP);
        return;
    }
    if (signal == SIGHUP) signal = SIGTERM; // the worker may not have seen the terminal
    stopping_ = true;
    if (worker_ == nobody)
        status_ = EXIT_SUCCESS;
    else
        ::kill(worker_, signal);
}

void Parent::kill_if_it_hangs() {
    if (worker_ == nobody || !hangs_at_.passed()) return;
    // Who was stopped itself meanwhile may have missed what the worker had to say.
    constexpr auto late = std::chrono::seconds(1);
    if (Deadline::Clock::now() > hangs_at_.when() + late) {
        hangs_at_ = ready_ ? patience_.watchdog : patience_.start;
        return;
    }
    hangs_at_ = Deadline::never();
    system::log(
        Level::error,
        ready_ ? fmt::format("worker {} hangs: it has not said WATCHDOG=1 for {} ms; killing it",
                             worker_, patience_.watchdog.count() / 1000)
               : fmt::format("worker {} hangs: it is not ready after {} ms; killing it", worker_,
                             patience_.start.count() / 1000));
    ::kill(worker_, SIGKILL);
}

void Parent::bury() {
    hangs_at_ = Deadline::never();
    int status = 0;
    ::waitpid(worker_, &status, 0);
    const pid_t pid = std::exchange(worker_, nobody);
    const bool first = std::exchange(first_, false);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code == EXIT_SUCCESS || stopping_ || (first && !ready_ && WIFEXITED(status))) {
        status_ = code;
        if (code != EXIT_SUCCESS)
            system::log(Level::error, fmt::format("worker {} {}", pid, end_of(status)));
        return;
    }
    const auto delay = ready_ ? BackOff::Delay::zero() : back_off_.next();
    next_start_ = delay;
    const auto when = ready_ ? std::string() : fmt::format(" in {} ms", delay.count());
    system::log(Level::warning,
                fmt::format("worker {} {}; starting it again{}", pid, end_of(status), when));
}

} // namespace

int run_parent(const std::vector<std::string>& worker_command, BackOff back_off,
               Patience patience) {
    open_standard_streams();
    system::raise_descriptor_limit();
    if (const auto ours = system::watchdog_time()) patience.watchdog = *ours / 2;
    return Parent(worker_command, back_off, patience).run();
}

} // namespace shmbus::parent
