#include "process/strace.hpp"

#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <sys/syscall.h>
#include <thread>

namespace shmbus::test {

namespace {

std::filesystem::path new_log() {
    std::string name = std::filesystem::temp_directory_path() / "shmbus-strace-XXXXXX";
    const base::Fd file(::mkstemp(name.data()));
    if (!file) throw std::runtime_error("no file for strace to write to");
    return name;
}

std::vector<std::string> command(const std::filesystem::path& log,
                                 const std::vector<pid_t>& processes) {
    std::vector<std::string> argv{"strace", "-qq", "-f", "-ttt", "-o", log};
    for (const auto pid : processes) argv.insert(argv.end(), {"-p", std::to_string(pid)});
    return argv;
}

/// The paths of one file in /proc for all threads of a process.
std::vector<std::filesystem::path> of_threads(pid_t pid, const char* file) {
    std::vector<std::filesystem::path> paths;
    std::error_code gone;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone))
        paths.push_back(task.path() / file);
    return paths;
}

/// All threads: neither running nor stopped for strace to look at them.
bool is_asleep(pid_t pid) {
    for (const auto& path : of_threads(pid, "status")) {
        std::ifstream status(path);
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("State:") && line.find('S', 6) == std::string::npos) return false;
    }
    return true;
}

bool is_traced(pid_t pid) {
    for (const auto& path : of_threads(pid, "status")) {
        std::ifstream status(path);
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("TracerPid:") && std::stol(line.substr(10)) == 0) return false;
    }
    return true;
}

} // namespace

Strace::Strace(const std::vector<pid_t>& processes)
    : log_(new_log()), strace_(Child::program(command(log_, processes))) {
    const Deadline deadline = patience;
    for (const auto pid : processes) {
        while (!is_traced(pid) || !is_asleep(pid)) {
            if (strace_.ended(Deadline::now()) || deadline.passed())
                throw std::runtime_error("strace does not attach: is ptrace permitted here?");
            std::this_thread::yield();
        }
    }
}

Strace::~Strace() {
    std::error_code gone;
    std::filesystem::remove(log_, gone);
}

std::vector<SystemCall> Strace::stop(std::uint64_t from, std::uint64_t to) {
    strace_.kill(SIGINT);
    strace_.wait();
    std::vector<SystemCall> calls;
    std::ifstream log(log_);
    for (std::string line; std::getline(log, line);) {
        std::istringstream words(line); // PID SECONDS.MICROSECONDS CALL…
        SystemCall call;
        std::uint64_t seconds = 0;
        std::uint64_t microseconds = 0;
        char dot = 0;
        if (!(words >> call.thread >> seconds >> dot >> microseconds)) continue;
        std::getline(words >> std::ws, call.text);
        call.time_ns = seconds * 1'000'000'000 + microseconds * 1'000;
        if (call.time_ns >= from && call.time_ns <= to) calls.push_back(std::move(call));
    }
    return calls;
}

std::string to_string(const std::vector<SystemCall>& calls) {
    std::string text = std::to_string(calls.size()) + " system calls";
    for (std::size_t i = 0; i < calls.size() && i < 20; ++i)
        text += "\n  " + std::to_string(calls[i].thread) + ": " + calls[i].text;
    return text;
}

bool is_parked(pid_t pid) {
    for (const auto& path : of_threads(pid, "syscall")) {
        long number = 0;
        if (std::ifstream(path) >> number && number == SYS_futex_waitv) return true;
    }
    return false;
}

void wait_until_parked(pid_t pid) {
    const Deadline deadline = patience;
    while (!is_parked(pid)) {
        if (deadline.passed()) throw std::runtime_error("the process does not go to sleep");
        std::this_thread::yield();
    }
}

} // namespace shmbus::test
