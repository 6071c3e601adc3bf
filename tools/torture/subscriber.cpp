// A subscriber of the torture: it says what it gets for each sequence, and if it is durable what it
// acknowledges, before and after.
#include "tools/torture/schedule.hpp"
#include "tools/torture/seal.hpp"
#include "tools/torture/worker.hpp"

#include <array>
#include <shmbus/subscription.hpp>
#include <stdexcept>

namespace shmbus::tools::torture {

namespace {

using namespace std::chrono_literals;

class SubscriberWorker {
  public:
    SubscriberWorker(Channel& channel, Subscription subscription)
        : channel_(channel), task_(channel.task()), subscription_(std::move(subscription)),
          is_durable_(!task_.name.get().empty()), random_(task_.seed ^ task_.writer) {}

    /// Until it is told to finish and has read everything, or the topic is removed.
    void run() {
        for (bool goes_on = true; goes_on;)
            goes_on = random_.one_in(4) ? receive_several() : receive_one();
    }

  private:
    bool receive_one() {
        auto received = subscription_.receive(tick);
        if (auto* event = std::get_if<Event>(&received)) {
            take(*event);
            return true;
        }
        const auto* gap = std::get_if<Gap>(&received);
        return gap != nullptr ? take(*gap) : take(std::get<Nothing>(received));
    }

    bool receive_several() {
        auto received = subscription_.receive(events_, tick);
        if (const auto* count = std::get_if<std::size_t>(&received)) {
            for (std::size_t i = 0; i < *count; ++i) take(events_.at(i));
            return true;
        }
        const auto* gap = std::get_if<Gap>(&received);
        return gap != nullptr ? take(*gap) : take(std::get<Nothing>(received));
    }

    void take(Event& event) {
        last_came_ = Deadline::Clock::now();
        Record record{.sequence = event.sequence(),
                      .number = event.id(),
                      .digest = digest_of(event),
                      .writer = event.type(),
                      .publisher = event.publisher(),
                      .said = Said::delivered};
        bool whole = is_whole(event, record.digest);
        if (event.in_place() && random_.one_in(50)) { // held while others publish
            std::this_thread::sleep_for(std::chrono::microseconds(random_.below(5'000)));
            whole &= digest_of(event) == record.digest;
        }
        const bool is_revoked = event.release() == Released::revoked;
        if (is_revoked)
            record.said = Said::discarded;
        else if (!whole)
            record.said = Said::torn;
        channel_.say(record);
        if (is_durable_ && random_.one_in(3)) acknowledge(record.sequence);
        if (random_.one_in(3'000)) // slow, for a moment
            std::this_thread::sleep_for(std::chrono::microseconds(random_.below(30'000)));
    }

    void acknowledge(Sequence sequence) {
        channel_.say({.sequence = sequence, .said = Said::acknowledging});
        subscription_.acknowledge(sequence);
        channel_.say({.sequence = sequence, .said = Said::acknowledged});
        if (!random_.one_in(1'000)) return;
        try {
            subscription_.persist(5s);
        } catch (const Error& error) { // no daemon, for a moment; or a topic in memory
            if (!passes(error.code()) && error.code() != Errc::system) throw;
        }
    }

    bool take(const Gap& gap) {
        last_came_ = Deadline::Clock::now();
        channel_.say({.sequence = gap.first,
                      .number = gap.last,
                      .head = subscription_.head(),
                      .said = Said::gap,
                      .detail = static_cast<std::uint8_t>(gap.reason)});
        return true;
    }

    /// Whether it goes on.
    bool take(Nothing why) {
        switch (why) {
        case Nothing::timed_out: break;
        case Nothing::closed:
            channel_.say({.sequence = subscription_.position(), .said = Said::ended});
            return false;
        case Nothing::stolen:
            if (task_.may_be_removed) return false;
            [[fallthrough]];
        default: throw std::runtime_error(std::string("nothing to receive: ") + name_of(why));
        }
        if (subscription_.caught_up())
            return !channel_.shared().told_to_finish.load(std::memory_order_relaxed);
        const auto now = Deadline::Clock::now();
        if (now - last_came_ < patience) return true;
        last_came_ = now;
        channel_.say({.sequence = subscription_.position(),
                      .number = subscription_.head(),
                      .said = Said::stuck});
        return true;
    }

    static constexpr auto tick = 50ms;
    Channel& channel_;
    const Task& task_;
    Subscription subscription_;
    bool is_durable_;
    Random random_;
    std::array<Event, 16> events_;
    Deadline::Clock::time_point last_came_ = Deadline::Clock::now();
};

Start anywhere(Random& random, Sequence head) {
    switch (random.below(5)) {
    case 0: return Start::all();
    case 1: return Start::last();
    case 2: return Start::sequence(1 + random.below(head + 1));
    case 3:
        return Start::time(std::chrono::system_clock::now() -
                           std::chrono::milliseconds(random.below(3'000)));
    default: return Start::latest();
    }
}

/// No start may be behind this: by what was there before and after it was chosen.
Sequence latest_begin(const Start& start, const TopicInfo& info) {
    switch (start.kind()) {
    case Start::Kind::all: return info.first;
    case Start::Kind::sequence: return std::max<Sequence>(start.value(), info.first);
    default: return info.head + 1;
    }
}

} // namespace

void subscribe_on(Channel& channel) {
    const Task& task = channel.task();
    Random random(task.seed);
    auto bus = insist(task.may_be_removed, [&] { return Bus(bus_of(task)); });
    const auto look = [&] { return bus->topic(task.topic.get()); };
    const auto before = insist(task.may_be_removed, look);
    if (!before) return;
    const Start start = task.is_late ? anywhere(random, before->head) : Start::all();
    auto subscription = insist(task.may_be_removed, [&] {
        return bus->subscribe(task.topic.get(), {.start = start,
                                                 .name = std::string(task.name.get()),
                                                 .steal = !task.name.get().empty(),
                                                 .lossy = task.is_lossy,
                                                 .auto_acknowledge = task.name.get().empty()});
    });
    if (!subscription) return;
    const Sequence begin = subscription->position();
    const auto after = insist(task.may_be_removed, look);
    if (!after) return;
    channel.say({.sequence = begin,
                 .number = task.is_late ? latest_begin(start, *after) : after->first,
                 .head = after->head,
                 .said = Said::subscribed});
    SubscriberWorker(channel, std::move(*subscription)).run();
}

} // namespace shmbus::tools::torture
