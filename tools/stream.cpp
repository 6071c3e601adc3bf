#include "tools/stream.hpp"

#include "tools/interrupt.hpp"
#include "tools/output.hpp"
#include "tools/reader_watch.hpp"
#include "tools/units.hpp"

#include <fmt/format.h>
#include <thread>

namespace shmbus::tools {

namespace {

using Clock = std::chrono::steady_clock;

// A batch ends here, so that publishers of a full topic get room while events keep coming.
constexpr std::size_t batch_bytes = 65'536;
constexpr unsigned batch_events = 1024;

struct All {
    std::vector<Subscription>& subscriptions;
    void interrupt() noexcept {
        for (Subscription& subscription : subscriptions) subscription.interrupt();
    }
};

} // namespace

Stream::Stream(StreamOptions options, std::function<void(const std::string&)> explain_closed)
    : options_(std::move(options)), explain_closed_(std::move(explain_closed)),
      last_event_(Clock::now()) {}

void Stream::follow(std::vector<Subscription>& subscriptions) {
    subscriptions_ = &subscriptions;
    All all{subscriptions};
    const OnInterrupt guard(all);
    // A command's events go to the command, whatever becomes of our stdout.
    std::optional<ReaderWatch> watch;
    if (!options_.command) watch.emplace([this] { stop_for_nobody(); });
    if (subscriptions.size() == 1) {
        follow_one(subscriptions.front());
    } else {
        std::vector<std::thread> threads;
        block_interrupts(); // the threads inherit this; a signal is the main thread's
        try {
            for (Subscription& subscription : subscriptions)
                threads.emplace_back([this, &subscription] { follow_one(subscription); });
        } catch (const std::system_error&) {
            stop(std::current_exception());
        }
        unblock_interrupts();
        for (std::thread& thread : threads) thread.join();
    }
    if (reason_) std::rethrow_exception(reason_);
}

void Stream::follow_one(Subscription& subscription) noexcept {
    Follower follower{.subscription = subscription};
    try {
        follow_until_stopped(follower);
    } catch (...) {
        stop(std::current_exception());
    }
    try {
        settle(follower); // what was printed before the reason to stop came
    } catch (...) {
        stop(std::current_exception());
    }
}

void Stream::follow_until_stopped(Follower& follower) {
    while (!stopped_) {
        if (interrupted()) throw Interrupted();
        Received received = receive(follower);
        if (const auto* const nothing = std::get_if<Nothing>(&received)) {
            consider(follower, *nothing);
            continue;
        }
        if (!take(follower, received)) return;
        if (follower.batch_is_full) settle(follower);
        if (options_.silence) last_event_ = Clock::now();
    }
}

// What is there at once; if nothing is, prints and acknowledges all so far before it waits.
Received Stream::receive(Follower& follower) {
    Received received = follower.subscription.receive(Deadline::now());
    if (!std::holds_alternative<Nothing>(received)) return received;
    // Behind us lies what was printed and what a filter left out: both are done with.
    follower.settled = follower.subscription.position() - 1;
    settle(follower);
    return follower.subscription.receive(end_of_silence());
}

// Ends the stream if there is a reason to, by throwing it.
void Stream::consider(const Follower& follower, Nothing nothing) {
    if (nothing == Nothing::too_many_held) wait_for_hands();
    if ((nothing == Nothing::timed_out || nothing == Nothing::too_many_held) &&
        end_of_silence().passed())
        throw Failure(
            ExitCode::timed_out,
            fmt::format("no event for {}{}", format_duration(*options_.silence), progress()));
    if (nothing == Nothing::stolen)
        throw Failure(
            ExitCode::refused,
            fmt::format("topic '{}': {}{}", follower.subscription.topic(),
                        options_.is_member
                            ? "the group was removed"
                            : "another process took the subscription over, or it was removed",
                        progress()));
    if (nothing != Nothing::closed) return; // or another topic's event broke the silence
    try {
        explain_closed_(follower.subscription.topic());
    } catch (const Failure& failure) {
        // Fewer events than --count have a code of their own.
        throw Failure(options_.count ? ExitCode::timed_out : failure.code(),
                      failure.what() + progress());
    }
}

// A member that acknowledges nothing has as many as it may: until ack_wait has passed for one of them.
void Stream::wait_for_hands() const {
    constexpr std::chrono::milliseconds often(50);
    sleep_until(std::min(Clock::now() + often, end_of_silence().when()));
}

// Prints an event or a gap; false if it came too late to be counted.
bool Stream::take(Follower& follower, Received& received) {
    const std::lock_guard lock(output_mutex_);
    if (options_.count && printed_ == *options_.count) return false;
    const std::string& topic = follower.subscription.topic();
    if (const auto* const gap = std::get_if<Gap>(&received))
        print_gap(topic, *gap);
    else if (print(follower, std::get<Event>(received)) && ++printed_ == options_.count)
        stop(nullptr);
    follower.settled = follower.subscription.position() - 1;
    follower.batch_is_full = options_.command || buffer_.size() >= batch_bytes ||
                             ++follower.unsettled_events == batch_events;
    return true;
}

// false if the event's memory was reused while it was read; what it was becomes a gap. A group's comes again, from
// where it still is, or as a gap.
bool Stream::print(Follower& follower, Event& event) {
    const std::string& topic = follower.subscription.topic();
    const Sequence sequence = event.sequence();
    const std::size_t before = buffer_.size();
    Record record = record_of(topic, event);
    if (options_.is_member) record.attempt = event.attempt();
    std::optional<Job> job;
    if (options_.command)
        job.emplace(record);
    else
        options_.format.append(buffer_, record);
    if (event.release() == Released::revoked) {
        buffer_.resize(before);
        if (options_.is_member)
            (void)follower.subscription.nack(sequence);
        else
            print_gap(topic, {.first = sequence, .last = sequence, .reason = GapReason::overrun});
        return false;
    }
    const bool is_done = !job || run_command(follower, *job, sequence);
    if (is_done && options_.is_member) follower.done.push_back(sequence);
    return true;
}

/// A group has its own way with events that fail; while the command runs, its event is not taken from us.
/// @returns whether it was done
bool Stream::run_command(Follower& follower, const Job& job, Sequence sequence) {
    if (!options_.is_member) {
        options_.command.run(job);
        return true;
    }
    constexpr std::chrono::milliseconds often(30); // ack_wait is 100 ms or more
    try {
        options_.command.run(job, {often, [&] { (void)follower.subscription.touch(sequence); }});
        return true;
    } catch (const Failure& failure) {
        note(failure.what());
        (void)follower.subscription.nack(sequence);
        return false;
    }
}

void Stream::print_gap(std::string_view topic, const Gap& gap) {
    if (options_.format.shows_gaps() && !options_.command)
        options_.format.append_gap(buffer_, topic, gap);
    else
        note(fmt::format("gap: topic '{}': no events {} to {}: {}", topic, gap.first, gap.last,
                         name_of(gap.reason)));
}

void Stream::settle(Follower& follower) {
    if (!flush()) return;
    if (options_.acknowledge && options_.is_member)
        acknowledge_each(follower);
    else if (options_.acknowledge && follower.settled != 0)
        (void)follower.subscription.acknowledge(follower.settled);
    follower.done.clear();
    follower.unsettled_events = 0;
    follower.batch_is_full = false;
}

// Each by itself: others may be in hand that have lower sequences, and are not done.
void Stream::acknowledge_each(Follower& follower) {
    std::optional<Sequence> late;
    unsigned others = 0;
    for (const Sequence sequence : follower.done) {
        if (follower.subscription.acknowledge(sequence) == Acknowledged::done) continue;
        if (late)
            ++others;
        else
            late = sequence;
    }
    if (!late) return;
    const std::string more = others == 0 ? "" : fmt::format(", and {} more,", others);
    note(fmt::format(
        "topic '{}': event {}{} not acknowledged in time: it comes again, to whoever has "
        "its key now",
        follower.subscription.topic(), *late, more + (others == 0 ? " was" : " were")));
}

// false if a write has failed, in whichever thread: what else is in the buffer is not written then.
bool Stream::flush() {
    const std::lock_guard lock(output_mutex_);
    if (output_failed_) return false;
    if (buffer_.empty()) return true;
    output_failed_ = true;
    write_out(buffer_);
    output_failed_ = false;
    buffer_.clear();
    return true;
}

Deadline Stream::end_of_silence() const {
    if (!options_.silence) return Deadline::never();
    return last_event_.load() + *options_.silence;
}

std::string Stream::progress() {
    const std::lock_guard lock(output_mutex_);
    return options_.count ? fmt::format("; {} of {} events", printed_, *options_.count) : "";
}

// The first reason counts, but trouble with the last of the output counts more than a reached count.
void Stream::stop(std::exception_ptr reason) noexcept {
    {
        const std::lock_guard lock(stop_mutex_);
        if (!reason_) reason_ = std::move(reason);
        if (stopped_) return;
        stopped_ = true;
    }
    interrupt_all();
}

// Whoever read stdout has gone. That is no reason when there was another, not even a reached count:
// the reader may have gone because it got all.
void Stream::stop_for_nobody() noexcept {
    {
        const std::lock_guard lock(stop_mutex_);
        if (stopped_) return;
        reason_ = std::make_exception_ptr(OutputClosed());
        stopped_ = true;
    }
    interrupt_all();
}

void Stream::interrupt_all() noexcept {
    for (Subscription& subscription : *subscriptions_) subscription.interrupt();
}

} // namespace shmbus::tools
