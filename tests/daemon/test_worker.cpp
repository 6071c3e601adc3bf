// A worker that does what a test tells it, one line of standard input at a time, and answers each
// with one line; or the parent of such workers. All of them share standard input and output, so a
// test goes on with the next worker where one died. It ends with its standard input.
//
//     test_worker --supervise [first=MS] [longest=MS] [limit=DESCRIPTORS] [names=NAME:NAME…]
//                             [log=unread|closed] [start=MS] [watchdog=MS]
//
// names: the parent finds 3, 4, … passed to it under these names. Its log goes to standard output, or
// to a pipe that nobody reads, or there is no standard error.
//
//     store NAME TEXT…     leaves files of this content, under one name; answers when they are kept
//     send MESSAGE         with ';' for newlines; answers when the descriptor with it was closed
//     notify MESSAGE       without any; answers when it was heard
//     last-words NAME TEXT leaves a file and dies of SIGKILL
//     list                 what this worker was started with: NAME=CONTENT…
//     open | environment | signals         its descriptors, variables of the contract,
//                          and signals: -BLOCKED, !IGNORED
//     catch                signals that stop are only noted from now on
//     await                the next one
//     exit STATUS
#include "base/fd.hpp"
#include "daemon/parent/parent.hpp"
#include "daemon/sent.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <sstream>
#include <sys/mman.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

namespace {

using namespace shmbus;

constexpr std::uint64_t patience_us = 60'000'000;

void say(const std::string& text) {
    const std::string line = text + '\n';
    if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        std::_Exit(3); // the test is gone
}

/// Not a byte more than the line: the rest may be another worker's.
bool hear(std::string& line) {
    line.clear();
    for (char c = 0; ::read(STDIN_FILENO, &c, 1) == 1; line += c)
        if (c == '\n') return true;
    return false;
}

sigset_t stop_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
    return set;
}

std::string joined(std::vector<std::string> words) {
    std::sort(words.begin(), words.end());
    std::string line;
    for (const auto& word : words) line += (line.empty() ? "" : " ") + word;
    return line;
}

std::string content_of(int fd) {
    char buffer[256];
    const ssize_t size = ::pread(fd, buffer, sizeof buffer, 0);
    return size < 0 ? "?" : std::string(buffer, static_cast<std::size_t>(size));
}

void store(std::istringstream& words) {
    std::string name;
    words >> name;
    std::vector<base::Fd> files;
    std::vector<int> numbers;
    for (std::string text; words >> text;) {
        files.emplace_back(::memfd_create("stored", MFD_CLOEXEC));
        if (::write(files.back().get(), text.data(), text.size()) < 0) std::_Exit(3);
        numbers.push_back(files.back().get());
    }
    const std::string message = "FDSTORE=1\nFDNAME=" + name;
    if (::sd_pid_notify_with_fds(0, 0, message.c_str(), numbers.data(),
                                 static_cast<unsigned>(numbers.size())) <= 0)
        std::_Exit(3);
}

std::string heard() { return ::sd_notify_barrier(0, patience_us) > 0 ? "ok" : "not heard"; }

std::string list(const std::vector<std::string>& received) { return "list " + joined(received); }

std::string open_descriptors() {
    std::vector<std::string> numbers;
    DIR* directory = ::opendir("/proc/self/fd");
    while (const dirent* entry = ::readdir(directory))
        if (entry->d_name[0] != '.' && std::stoi(entry->d_name) != ::dirfd(directory))
            numbers.emplace_back(entry->d_name);
    ::closedir(directory);
    return "open " + joined(numbers);
}

std::string environment() {
    std::string line = "environment";
    for (const char* name : {"LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_USEC", "NOTIFY_SOCKET"})
        if (const char* value = std::getenv(name)) line += std::string(" ") + name + "=" + value;
    return line;
}

/// Those that the parent has its own use for, and one that it has none for.
std::string signals() {
    std::string answer = "signals";
    sigset_t blocked;
    ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR1})
        if (::sigismember(&blocked, signal) != 0)
            answer += std::string(" -") + sigabbrev_np(signal);
    for (const int signal : {SIGCHLD, SIGPIPE, SIGUSR1}) {
        struct sigaction action {};
        ::sigaction(signal, nullptr, &action);
        if (action.sa_handler == SIG_IGN) answer += std::string(" !") + sigabbrev_np(signal);
    }
    return answer;
}

std::string await_signal() {
    const auto set = stop_signals();
    int signal = 0;
    ::sigwait(&set, &signal);
    return "got " + std::to_string(signal);
}

std::string act(const std::string& line, const std::vector<std::string>& received) {
    std::istringstream words(line);
    std::string verb;
    std::string rest;
    words >> verb;
    if (verb == "store") {
        store(words);
        return heard();
    }
    if (verb == "last-words") {
        store(words);
        ::raise(SIGKILL);
    }
    if (verb == "list") return list(received);
    if (verb == "open") return open_descriptors();
    if (verb == "environment") return environment();
    if (verb == "signals") return signals();
    if (verb == "await") return await_signal();
    if (verb == "catch") {
        const auto set = stop_signals();
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        return "ok";
    }
    words >> std::ws;
    std::getline(words, rest);
    if (verb == "exit") std::_Exit(std::stoi(rest));
    std::replace(rest.begin(), rest.end(), ';', '\n');
    if (verb == "send") return test::is_closed_when_sent(rest) ? "ok" : "not closed";
    if (verb == "notify") return ::sd_notify(0, rest.c_str()) > 0 ? heard() : "not sent";
    return "no such verb";
}

int work() {
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(0, &names);
    std::vector<std::string> received;
    for (int i = 0; i < count; ++i)
        received.push_back(std::string(names[i]) + "=" + content_of(SD_LISTEN_FDS_START + i));
    say("hello " + std::to_string(::getpid()) + (count < 0 ? " without what was passed" : ""));
    for (std::string line; hear(line);) say(act(line, received));
    return 0;
}

void log_to(const std::string& where) {
    int ends[2] = {-1, STDOUT_FILENO};
    if (where == "unread") {
        if (::pipe2(ends, O_CLOEXEC) != 0) std::_Exit(3);
        ::close(ends[0]);
        ::signal(SIGPIPE, SIG_DFL);
    }
    if (where == "closed")
        ::close(STDERR_FILENO);
    else
        ::dup2(ends[1], STDERR_FILENO);
}

int supervise(const std::vector<std::string>& arguments) {
    std::map<std::string, std::string> options{
        {"first", "50"}, {"longest", "2000"}, {"start", "3600000"}, {"watchdog", "3600000"}};
    for (const auto& argument : arguments) {
        const auto at = argument.find('=');
        options[argument.substr(0, at)] = argument.substr(at + 1);
    }
    log_to(options["log"]);
    if (const auto& names = options["names"]; !names.empty()) {
        const auto count = 1 + std::count(names.begin(), names.end(), ':');
        ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
        ::setenv("LISTEN_FDS", std::to_string(count).c_str(), 1);
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    }
    if (const auto& limit = options["limit"]; !limit.empty()) {
        const rlimit both{std::stoul(limit) / 2, std::stoul(limit)};
        ::setrlimit(RLIMIT_NOFILE, &both);
    }
    return parent::run_parent(
        {"/proc/self/exe"},
        {std::chrono::milliseconds(std::stoul(options["first"])),
         std::chrono::milliseconds(std::stoul(options["longest"]))},
        {.start = std::chrono::milliseconds(std::stoul(options["start"])),
         .watchdog = std::chrono::milliseconds(std::stoul(options["watchdog"]))});
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.empty()) return work();
    return supervise({arguments.begin() + 1, arguments.end()});
}
