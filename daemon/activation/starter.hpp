// Asks for units to be started, on a thread of its own: systemd may be slow to answer.
#pragma once

#include "daemon/activation/consumer.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace shmbus::activation {

class Starter {
  public:
    struct Request {
        Of of;
        std::string unit;
    };
    struct Answer {
        Request request;
        Outcome outcome;
    };
    /// Called on the thread; may take its time.
    using Start = std::function<Outcome(const Request&)>;

    explicit Starter(Start start) : start_(std::move(start)) {}
    /// Waits for the request that is under way, and forgets the others.
    ~Starter();
    Starter(const Starter&) = delete;
    Starter& operator=(const Starter&) = delete;

    /// The thread is there from the first one on.
    void ask(Request request);
    /// Those that have come since the last call.
    [[nodiscard]] std::vector<Answer> take_answers();

  private:
    void work();
    const Start start_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Request> requests_; // guarded by mutex_, as are the next two
    std::vector<Answer> answers_;
    bool stop_ = false;
    std::thread thread_;
};

} // namespace shmbus::activation
