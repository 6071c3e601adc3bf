// What the topics of one sub share: one output, one count, one end.
//
// Each topic is followed by a thread of its own (the only one by the main thread). They put whole
// events into one buffer, and each flushes it before it acknowledges and before it waits for more.
// The first reason to stop, from whichever thread, is the one with which the program ends.
#pragma once

#include "tools/exec.hpp"
#include "tools/failure.hpp"
#include "tools/format.hpp"

#include <shmbus/subscription.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace shmbus::tools {

struct StreamOptions {
    Format format;
    Command command; ///< if there is one, it gets the events, and nothing is printed
    std::optional<std::uint64_t> count;
    std::optional<std::chrono::nanoseconds> silence; ///< of all topics together
    bool acknowledge = true;
    bool is_member = false; ///< of a group: an event whose command fails comes again
};

class Stream {
  public:
    /// `explain_closed` says what became of a topic that gives no more events, by throwing.
    Stream(StreamOptions options, std::function<void(const std::string&)> explain_closed);

    /// Prints what the subscriptions receive. Returns when the count is reached.
    /// @throws Interrupted, OutputClosed; Failure when there is another reason to stop
    void follow(std::vector<Subscription>& subscriptions);

  private:
    // A subscription with what it has received and not acknowledged.
    struct Follower {
        Subscription& subscription;
        Sequence settled = 0;         // printed up to here; of who is no member
        std::vector<Sequence> done{}; // a member's: what is printed, or was the command's
        unsigned unsettled_events = 0;
        bool batch_is_full = false;
    };
    void follow_one(Subscription& subscription) noexcept;
    void follow_until_stopped(Follower& follower);
    Received receive(Follower& follower);
    void consider(const Follower& follower, Nothing nothing);
    bool take(Follower& follower, Received& received);
    void wait_for_hands() const;
    bool print(Follower& follower, Event& event);
    bool run_command(Follower& follower, const Job& job, Sequence sequence);
    void print_gap(std::string_view topic, const Gap& gap);
    void settle(Follower& follower);
    static void acknowledge_each(Follower& follower);
    bool flush();
    [[nodiscard]] Deadline end_of_silence() const;
    [[nodiscard]] std::string progress();
    void stop(std::exception_ptr reason) noexcept;
    void stop_for_nobody() noexcept;
    void interrupt_all() noexcept;

    const StreamOptions options_;
    const std::function<void(const std::string&)> explain_closed_;
    std::vector<Subscription>* subscriptions_ = nullptr;

    std::mutex output_mutex_; // for the next three; held while a batch is written or a command runs
    std::string buffer_;
    std::uint64_t printed_ = 0;
    bool output_failed_ = false;

    std::mutex stop_mutex_; // for the next one
    std::exception_ptr reason_;
    std::atomic<bool> stopped_ = false;
    std::atomic<std::chrono::steady_clock::time_point> last_event_;
};

} // namespace shmbus::tools
