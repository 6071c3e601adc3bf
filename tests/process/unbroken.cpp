#include "process/unbroken.hpp"

#include "process/load.hpp"

#include <atomic>
#include <stdexcept>
#include <thread>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

using namespace std::chrono_literals;

/// unbroken_publisher SOCKET TOPIC SEED: until it is told to stop; how many it has published.
SHMBUS_WORKER(unbroken_publisher) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher(args.text(1));
    static std::atomic<bool> told{false};
    std::thread([] {
        hear();
        told = true;
    }).detach();
    say("ready");
    Load load(args.number(2));
    std::uint64_t count = 0;
    while (!told) {
        const auto item = load.next();
        const Attributes attributes{.id = item.id, .correlation = seal(item.payload, item.id)};
        const auto result = publisher.publish(item.payload, attributes, patience);
        if (!result) throw std::runtime_error(std::string("publish: ") + name_of(result.outcome));
        ++count;
    }
    say("count " + std::to_string(count));
    return 0;
}

/// unbroken_subscriber SOCKET TOPIC NAME: every event from the first on, until there were as many as it is
/// told; how many, and how many sequences were none.
SHMBUS_WORKER(unbroken_subscriber) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe(args.text(1), {.start = Start::all(), .name = args.text(2)});
    static std::atomic<std::uint64_t> all{~std::uint64_t{0}};
    std::thread([] { all = std::stoull(hear()); }).detach();
    say("ready");
    Checker checker;
    Sequence next = 1;
    std::uint64_t aborted = 0;
    while (next - 1 - aborted < all) {
        const auto received = subscription.receive(100ms);
        if (const auto* gap = std::get_if<Gap>(&received)) {
            if (gap->reason != GapReason::aborted || gap->first != next)
                throw std::runtime_error("a gap in " + args.text(1) + ": " +
                                         std::to_string(gap->first) + " to " +
                                         std::to_string(gap->last) + ' ' + name_of(gap->reason));
            aborted += gap->last - gap->first + 1;
            next = gap->last + 1;
            continue;
        }
        const auto* event = std::get_if<Event>(&received);
        if (event == nullptr) {
            if (std::get<Nothing>(received) != Nothing::timed_out)
                throw std::runtime_error(name_of(std::get<Nothing>(received)));
            continue;
        }
        if (event->sequence() != next++) throw std::runtime_error("out of order");
        if (!checker.check(*event)) throw std::runtime_error("a torn event");
    }
    if (checker.missing() != 0) throw std::runtime_error("events are missing");
    say("count " + std::to_string(next - 1 - aborted) + ' ' + std::to_string(aborted));
    return 0;
}

constexpr std::array<const char*, 2> topics{"kept", "fast"};

void expect_end(Child& child) {
    if (child.wait() != 0) throw std::runtime_error("a worker has failed");
}

} // namespace

UnbrokenLoad::UnbrokenLoad(const std::string& socket) {
    Bus bus({.socket = socket});
    TopicOptions options{.capacity = 1024, .slot_bytes = 256};
    options.retention = Retention::disk;
    bus.create_topic("kept", options);
    options.retention = Retention::memory;
    bus.create_topic("fast", options);
    for (const std::string topic : topics) {
        auto& subscriber =
            subscribers_
                .emplace(topic, Child::worker("unbroken_subscriber", {socket, topic, "worker"}))
                .first->second;
        if (subscriber.hear() != "ready") throw std::runtime_error("no subscriber");
    }
    for (unsigned i = 0; i < publishers * topics.size(); ++i) {
        const std::string topic = topics.at(i % topics.size());
        auto& publisher = publishers_
                              .emplace(topic, Child::worker("unbroken_publisher",
                                                            {socket, topic, std::to_string(i)}))
                              ->second;
        if (publisher.hear() != "ready") throw std::runtime_error("no publisher");
    }
}

bool UnbrokenLoad::goes_on() {
    for (auto& [topic, child] : publishers_)
        if (child.ended(Deadline::now())) return false;
    for (auto& [topic, child] : subscribers_)
        if (child.ended(Deadline::now())) return false;
    return true;
}

bool UnbrokenLoad::is_known_to(Bus& bus) {
    for (const auto* topic : topics) {
        const auto info = bus.topic(topic);
        if (info.publisher_count != publishers || info.subscriber_count == 0) return false;
    }
    return true;
}

std::map<std::string, UnbrokenLoad::Sum> UnbrokenLoad::stop() {
    std::map<std::string, Sum> sums;
    for (auto& [topic, child] : publishers_) child.say("stop");
    for (auto& [topic, child] : publishers_)
        sums[topic].events += child.hear_numbers("count").at(0);
    for (auto& [topic, child] : subscribers_) child.say(std::to_string(sums[topic].events));
    for (auto& [topic, child] : subscribers_) {
        const auto seen = child.hear_numbers("count");
        if (seen.at(0) != sums[topic].events)
            throw std::runtime_error("another count in topic " + topic);
        sums[topic].aborted = seen.at(1);
    }
    for (auto& [topic, child] : subscribers_) expect_end(child);
    for (auto& [topic, child] : publishers_) expect_end(child);
    return sums;
}

} // namespace shmbus::test
