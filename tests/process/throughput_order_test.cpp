// Proves, with eight publishers and four subscribers in processes of their own:
//
//   * block: every subscriber gets every event, once, whole, in one order that all share and in
//     which each publisher's events keep theirs; sequences are dense, from the topic's first on,
//     also across 2^48, where the stamp's share of the sequence wraps;
//   * drop-oldest: what a subscriber does not get is reported as a gap; events and gaps together
//   are
//     dense, and each event is the one that was published under its sequence.
//
// 10 million events; across the wrap and with drop-oldest only with --long, else a million.
#include "process/child.hpp"
#include "process/load.hpp"
#include "process/shared_array.hpp"
#include "shmbus/bus.hpp"
#include "support/daemon_process.hpp"

#include <gtest/gtest.h>
#include <iostream>

namespace shmbus::test {

namespace {

constexpr unsigned publishers = 8;
constexpr unsigned subscribers = 4;

constexpr std::uint32_t end_type = 1; // of the event after all others

/// What a log says of a sequence: nothing, a tombstone, or which event.
constexpr std::uint64_t tombstone = 1;
std::uint64_t digest(std::uint32_t publisher, std::uint64_t id) { return id << 16U | publisher; }

/// publish SOCKET COUNT SEED FIRST [3: log by sequence]
SHMBUS_WORKER(publish) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("load", {.timeout = patience});
    const std::uint64_t count = args.number(1);
    Load load(args.number(2));
    const Sequence first = args.number(3);
    auto log = SharedArray<std::uint64_t>::inherited(3);
    say("ready");
    hear();
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto item = load.next();
        const auto result = publisher.publish(
            item.payload, {.key = {}, .id = item.id, .correlation = seal(item.payload, item.id)});
        if (!result) throw std::runtime_error(std::string("publish: ") + name_of(result.outcome));
        if (const auto at = result.sequence - first; at < log.size())
            log[at] = digest(publisher.id(), item.id);
    }
    say("done");
    return 0;
}

/// subscribe SOCKET FIRST [3: log by sequence]
SHMBUS_WORKER(subscribe) {
    Bus bus({.socket = args.text(0)});
    const Sequence first = args.number(1);
    auto log = SharedArray<std::uint64_t>::inherited(3);
    auto subscription = bus.subscribe("load", {.start = Start::all()});
    say("ready");
    Checker checker;
    Sequence next = first;
    std::uint64_t events = 0;
    std::uint64_t overrun = 0;
    std::uint64_t aborted = 0;
    for (;;) {
        auto received = subscription.receive(patience);
        if (const auto* event = std::get_if<Event>(&received)) {
            if (event->sequence() != next) throw std::runtime_error("a sequence was skipped");
            if (event->type() == end_type) break;
            checker.check(*event);
            if (next - first < log.size())
                log[next - first] = digest(event->publisher(), event->id());
            ++events;
            ++next;
        } else if (const auto* gap = std::get_if<Gap>(&received)) {
            if (gap->first != next) throw std::runtime_error("a gap begins at a wrong sequence");
            if (gap->last < gap->first) throw std::runtime_error("a gap ends before it begins");
            const bool dead = gap->reason == GapReason::aborted;
            if (!dead && gap->reason != GapReason::overrun)
                throw std::runtime_error(name_of(gap->reason));
            (dead ? aborted : overrun) += gap->last - gap->first + 1;
            for (; next <= gap->last; ++next)
                if (dead && next - first < log.size()) log[next - first] = tombstone;
        } else {
            throw std::runtime_error(name_of(std::get<Nothing>(received)));
        }
    }
    std::string line = "end";
    for (const auto number :
         {next, events, overrun, aborted, checker.hash(), checker.torn(), checker.disordered(),
          checker.missing(), checker.bytes(), checker.in_place()})
        line += ' ' + std::to_string(number);
    say(line);
    return 0;
}

struct Seen {
    Sequence next = 0; // the sequence after the last
    std::uint64_t events = 0, overrun = 0, aborted = 0, hash = 0, torn = 0, disordered = 0,
                  missing = 0, bytes = 0, in_place = 0;
};

Seen hear_end(Child& child) {
    const auto n = child.hear_numbers("end", std::chrono::minutes(10));
    return {n.at(0), n.at(1), n.at(2), n.at(3), n.at(4),
            n.at(5), n.at(6), n.at(7), n.at(8), n.at(9)};
}

/// Eight publishers, four subscribers, one topic.
struct Stream {
    std::vector<Seen> seen;
    std::vector<SharedArray<std::uint64_t>> delivered; // by subscriber; empty unless logged
    SharedArray<std::uint64_t> published;
    Sequence end = 0;
    double seconds = 0;

    Stream(FullPolicy full, std::uint64_t count, Sequence first, std::size_t log_size)
        : published(log_size) {
        std::vector<std::string> extra;
        if (first != 1) extra = {"--test-first-sequence", std::to_string(first)};
        DaemonProcess daemon(extra);
        Bus bus({.socket = daemon.socket()});
        bus.create_topic("load", {.full = full,
                                  .evict_after_ms = 60'000,
                                  .hold_timeout_ms = 60'000,
                                  .retention = Retention::memory});
        const auto from = std::to_string(first);
        std::vector<Child> readers;
        std::vector<Child> writers;
        for (unsigned i = 0; i < subscribers; ++i) {
            delivered.emplace_back(log_size);
            readers.push_back(
                Child::worker("subscribe", {daemon.socket(), from}, {delivered.back().fd()}));
        }
        for (unsigned i = 0; i < publishers; ++i)
            writers.push_back(Child::worker("publish",
                                            {daemon.socket(), std::to_string(count / publishers),
                                             std::to_string(seed() + i), from},
                                            {published.fd()}));
        for (auto& reader : readers) EXPECT_EQ(reader.hear(), "ready");
        for (auto& writer : writers) EXPECT_EQ(writer.hear(), "ready");
        const auto start = Deadline::Clock::now();
        for (auto& writer : writers) writer.say("go");
        for (auto& writer : writers) EXPECT_EQ(writer.hear(std::chrono::minutes(10)), "done");
        auto last = bus.publisher("load", {.timeout = patience});
        end = last.publish("", {.key = {}, .type = end_type}).sequence;
        for (auto& reader : readers) seen.push_back(hear_end(reader));
        seconds = std::chrono::duration<double>(Deadline::Clock::now() - start).count();
        for (auto& writer : writers) EXPECT_EQ(writer.wait(), 0);
        for (auto& reader : readers) EXPECT_EQ(reader.wait(), 0);
    }
};

constexpr std::uint64_t full_count = instrumented ? 1'000'000 : 10'000'000;
std::uint64_t short_count() { return long_form() ? full_count : 1'000'000; }

void expect_all_delivered(Sequence first, std::uint64_t count) {
    const Stream run(FullPolicy::block, count, first, 0);
    EXPECT_EQ(run.end, first + count);
    for (const auto& seen : run.seen) {
        EXPECT_EQ(seen.events, count);
        EXPECT_EQ(seen.overrun, 0U);
        EXPECT_EQ(seen.aborted, 0U);
        EXPECT_EQ(seen.next, run.end);
        EXPECT_EQ(seen.torn, 0U);
        EXPECT_EQ(seen.disordered, 0U);
        EXPECT_EQ(seen.missing, 0U);
        EXPECT_EQ(seen.hash, run.seen[0].hash) << "another order, or other events";
        EXPECT_GT(seen.in_place, 0U);
        EXPECT_LT(seen.in_place, count);
    }
    std::cout << count << " events from sequence " << first << ": " << run.seconds << " s, "
              << static_cast<double>(count) / run.seconds / 1e6 << " M/s, "
              << static_cast<double>(run.seen[0].bytes) / run.seconds / 1e9 << " GB/s to each of "
              << subscribers << ", " << run.seen[0].in_place << " in chunks, hash "
              << run.seen[0].hash << '\n';
}

TEST(ThroughputOrder, AllEventsInOneOrder) { expect_all_delivered(1, full_count); }

TEST(ThroughputOrder, AcrossTheWrapOfTheStamp) {
    expect_all_delivered((1ULL << 48U) - 1000, short_count());
}

TEST(ThroughputOrder, DropOldestAccountsForEverySequence) {
    const std::uint64_t count = short_count();
    // Publishers that are preempted inside a claim lose it to others: there are tombstones too.
    const std::size_t room = count + count / 2;
    const Stream run(FullPolicy::drop_oldest, count, 1, room);
    ASSERT_LE(run.end, room);
    std::uint64_t tombstones = 0;
    for (Sequence s = 1; s < run.end; ++s)
        if (run.published[s - 1] == 0) ++tombstones;
    EXPECT_EQ(run.end, 1 + count + tombstones) << "two publishers got the same sequence";
    for (unsigned i = 0; i < subscribers; ++i) {
        const auto& seen = run.seen[i];
        EXPECT_EQ(seen.next, run.end);
        EXPECT_EQ(seen.events + seen.overrun + seen.aborted, run.end - 1);
        EXPECT_EQ(seen.torn, 0U);
        EXPECT_EQ(seen.disordered, 0U);
        std::uint64_t wrong = 0;
        for (Sequence s = 1; s < run.end; ++s) {
            const auto delivered = run.delivered[i][s - 1];
            const auto published = run.published[s - 1];
            if (delivered == tombstone && published != 0) ++wrong;
            if (delivered > tombstone && delivered != published) ++wrong;
        }
        EXPECT_EQ(wrong, 0U) << "an event under the sequence of another or of a tombstone";
        std::cout << "drop-oldest: " << seen.events << " delivered, " << seen.overrun
                  << " overrun, " << seen.aborted << " aborted of " << tombstones << '\n';
    }
    std::cout << "drop-oldest: " << count << " events, " << run.seconds << " s\n";
}

} // namespace

} // namespace shmbus::test
