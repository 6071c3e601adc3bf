// sub --exec: a command for each event, tried again when it fails.
#pragma once

#include "tools/record.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace shmbus::tools {

/// An event made ready for a command: a copy, so that the event itself can be released.
class Job {
  public:
    explicit Job(const Record& record);
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    ~Job();
    /// The payload, from its beginning.
    [[nodiscard]] int rewound_payload() const noexcept;
    /// "SHMBUS_SEQ=17" and so on.
    [[nodiscard]] const std::vector<std::string>& variables() const noexcept { return variables_; }
    /// For messages: "event 17 of topic 'trades'".
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

  private:
    std::string name_;
    std::vector<std::string> variables_;
    int payload_;
};

class Command {
  public:
    Command() = default; // none
    /// `shell` is for /bin/sh -c; `socket` is where the bus is, for the command's own use of it.
    Command(std::string shell, std::string socket, unsigned retries);
    explicit operator bool() const noexcept { return !shell_.empty(); }

    /// While a try runs, and between two, `still_at_it` is called every `interval`, more than 0.
    struct Progress {
        std::chrono::milliseconds interval{};
        std::function<void()> still_at_it = {};
    };
    /// Runs the command with the payload on its stdin, until it exits 0; between two tries it waits
    /// 100 ms, and twice as long each time up to 10 s.
    /// @throws Failure(failed) after the last retry, Interrupted
    void run(const Job& job) const { run(job, Progress()); }
    void run(const Job& job, const Progress& progress) const;

  private:
    [[nodiscard]] std::string failure_of_one_try(const Job& job, const Progress& progress) const;
    std::string shell_;
    std::string socket_;
    unsigned retries_ = 0;
};

} // namespace shmbus::tools
