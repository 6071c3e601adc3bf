// A parent, and its workers one after the other.
#pragma once

#include "process/child.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>

namespace shmbus::test {

/// See test_worker.cpp for what they understand.
class Family {
  public:
    explicit Family(const std::vector<std::string>& options = {}, const std::vector<int>& fds = {})
        : parent_(Child::program(command(options), fds)) {
        greet();
    }
    Child& parent() { return parent_; }
    [[nodiscard]] pid_t worker() const { return worker_; }

    std::string ask(const std::string& line) {
        parent_.say(line);
        return parent_.hear();
    }
    /// The worker says something and is heard; what the parent logs about it comes before the "ok".
    std::vector<std::string> notify(const std::string& message) {
        parent_.say("notify " + message);
        std::vector<std::string> log;
        for (std::string line; (line = parent_.hear()) != "ok";) log.push_back(line);
        return log;
    }
    /// @returns the parent's line about it, without the number
    std::string kill_worker(int signal = SIGKILL) {
        ::kill(worker_, signal);
        return obituary();
    }
    std::string let_worker_exit(int status) {
        parent_.say("exit " + std::to_string(status));
        return obituary();
    }
    std::string obituary() {
        const std::string line = parent_.hear();
        const std::string begin = "shmbusd: worker " + std::to_string(worker_) + " ";
        EXPECT_THAT(line, testing::StartsWith(begin));
        return line.substr(std::min(begin.size(), line.size()));
    }
    /// The next worker is there.
    void greet() {
        const auto numbers = parent_.hear_numbers("hello");
        worker_ = static_cast<pid_t>(numbers.at(0));
    }

  private:
    static std::vector<std::string> command(const std::vector<std::string>& options) {
        std::vector<std::string> all{TEST_WORKER_PATH, "--supervise"};
        all.insert(all.end(), options.begin(), options.end());
        return all;
    }
    Child parent_;
    pid_t worker_ = 0;
};

class FamilyTest : public testing::Test {
  protected:
    FamilyTest() {
        ::signal(SIGPIPE, SIG_IGN);
        ::unsetenv("NOTIFY_SOCKET");
    }
    ~FamilyTest() override { ::unsetenv("NOTIFY_SOCKET"); }
    /// As somebody who is not the worker.
    static void talk_to(Family& family) {
        const std::string line = family.ask("environment");
        ::setenv("NOTIFY_SOCKET", line.substr(line.find('@')).c_str(), 1);
    }
};

inline std::ptrdiff_t descriptors_of(pid_t pid) {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd");
    return std::distance(begin(all), end(all));
}

} // namespace shmbus::test
