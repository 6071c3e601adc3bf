// Topics on disk, as a program uses them: what the ring no longer has comes from files, and nobody can
// tell the difference.
#include "support/daemon_process.hpp"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <map>
#include <sys/stat.h>
#include <thread>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
constexpr auto patience = 30s;

/// A ring of 16 slots, so that nearly everything is read from files.
TopicOptions on_disk() {
    TopicOptions options{
        .capacity = 16, .slot_bytes = 128, .max_event = 65'536, .pool_bytes = 1 << 20};
    options.retention = Retention::disk;
    return options;
}

class DiskTest : public testing::Test {
  protected:
    DiskTest() { bus.create_topic("orders", on_disk()); }

    void restart(int signal = SIGTERM) {
        daemon.kill(signal);
        daemon.wait();
        daemon.restart();
    }
    /// "event 1" to "event n", more or less large, with a key and a type.
    void publish(Sequence count) {
        auto publisher = bus.publisher("orders");
        for (Sequence i = 0; i < count; ++i) {
            const Sequence s = ++published;
            const auto key = "k" + std::to_string(s % 3);
            const auto result =
                publisher.publish(text_of(s), {.key = key, .type = type_of(s)}, patience);
            ASSERT_EQ(result.sequence, s);
        }
        ASSERT_EQ(publisher.wait_durable(published, patience), Durability::durable);
    }
    static std::string text_of(Sequence s) {
        return "event " + std::to_string(s) + std::string(s % 50 == 0 ? 5'000 : s % 40, 'x');
    }
    static std::uint32_t type_of(Sequence s) { return static_cast<std::uint32_t>(s % 5); }

    /// What comes next, "gap 3-4 reason" or "7"; events are as they were published.
    static std::string next(Subscription& subscription, Deadline deadline = patience) {
        const auto received = subscription.receive(deadline);
        if (const auto* event = std::get_if<Event>(&received)) {
            EXPECT_EQ(event->text(), text_of(event->sequence()));
            EXPECT_EQ(event->key(), "k" + std::to_string(event->sequence() % 3));
            EXPECT_EQ(event->type(), type_of(event->sequence()));
            return std::to_string(event->sequence());
        }
        if (const auto* gap = std::get_if<Gap>(&received))
            return "gap " + std::to_string(gap->first) + '-' + std::to_string(gap->last) + ' ' +
                   name_of(gap->reason);
        return name_of(std::get<Nothing>(received));
    }
    static void expect_run(Subscription& subscription, Sequence first, Sequence last) {
        for (Sequence s = first; s <= last; ++s) ASSERT_EQ(next(subscription), std::to_string(s));
    }
    [[nodiscard]] std::map<Sequence, fs::path> segments() const {
        std::map<Sequence, fs::path> found;
        for (const auto& entry : fs::directory_iterator(state.path() / "topics/orders"))
            if (entry.path().extension() == ".seg")
                found.emplace(std::stoull(entry.path().stem().string()), entry.path());
        return found;
    }

    TemporaryDirectory state;
    DaemonProcess daemon{{"--state-dir", state.path().string()}};
    Bus bus{BusOptions{.socket = daemon.socket()}};
    Sequence published = 0;
};

TEST_F(DiskTest, AllOfItIsThere) {
    publish(2'000);
    auto subscription = bus.subscribe("orders", {.start = Start::all()});
    expect_run(subscription, 1, 2'000);
    EXPECT_EQ(next(subscription, Deadline::now()), "timed_out");
    publish(5);
    expect_run(subscription, 2'001, 2'005);
}

TEST_F(DiskTest, AlsoAfterTheDaemonWasStopped) {
    for (Sequence run = 0; run < 3; ++run) {
        publish(300);
        restart();
        auto subscription = bus.subscribe("orders", {.start = Start::all()});
        expect_run(subscription, 1, published);
        EXPECT_EQ(next(subscription, Deadline::now()), "timed_out");
    }
    const auto info = bus.topic("orders");
    EXPECT_EQ(info.first, 1U);
    EXPECT_EQ(info.head, 900U);
    EXPECT_EQ(info.durable, 900U);
    EXPECT_EQ(info.options, on_disk());
}

TEST_F(DiskTest, AfterTheDaemonWasKilledWhatWasDurableIsThereAndTheRestIsOneGap) {
    publish(300);
    restart(SIGKILL);
    auto subscription = bus.subscribe("orders", {.start = Start::all()});
    expect_run(subscription, 1, 300);
    const auto gap = next(subscription);
    EXPECT_THAT(gap, testing::MatchesRegex("gap 301-[0-9]+ lost"));
    published = bus.topic("orders").head;
    publish(20);
    expect_run(subscription, published - 19, published);
}

/// It falls behind and catches up, again and again, while events come.
/// It is told of also before it is in a file.
TEST_F(DiskTest, AGapThatATopicBeginsWith) {
    for (int i = 0; i < 8; ++i) {
        const auto name = "new" + std::to_string(i);
        bus.create_topic(name, on_disk());
        daemon.kill(SIGKILL);
        daemon.wait();
        daemon.restart();
        Bus anew({.socket = daemon.socket()});
        const auto start = i % 2 == 0 ? Start::all() : Start::time({});
        auto subscription = anew.subscribe(name, {.start = start});
        const auto head = bus.topic(name).head;
        const auto gap = "gap 1-" + std::to_string(head) + " lost";
        ASSERT_EQ(next(subscription), gap) << i;
        auto late = anew.subscribe(name, {.start = start}); // it is in a file by now
        ASSERT_EQ(next(late), gap) << i;
    }
}

TEST_F(DiskTest, FromFilesToTheRingAndBackWithoutAGapOrARepeat) {
    constexpr Sequence count = 30'000;
    auto fast = bus.subscribe("orders", {.start = Start::all()});
    auto slow = bus.subscribe("orders", {.start = Start::all(), .spin = 0s});
    std::thread reading([&] { expect_run(fast, 1, count); });
    std::thread slowly([&] {
        for (Sequence s = 1; s <= count; ++s) {
            if (s % 1'000 == 0) std::this_thread::sleep_for(5ms); // long enough for many laps
            ASSERT_EQ(next(slow), std::to_string(s));
        }
    });
    publish(count);
    reading.join();
    slowly.join();
    EXPECT_EQ(bus.topic("orders").first, 1U);
}

TEST_F(DiskTest, BatchesToo) {
    publish(1'000);
    auto subscription = bus.subscribe("orders", {.start = Start::all()});
    std::array<Event, 50> events;
    Sequence expected = 1;
    while (expected <= 1'000) {
        const auto received = subscription.receive(events, patience);
        const auto* count = std::get_if<std::size_t>(&received);
        ASSERT_NE(count, nullptr);
        for (std::size_t i = 0; i < *count; ++i, ++expected) {
            EXPECT_EQ(events[i].sequence(), expected);
            EXPECT_EQ(events[i].text(), text_of(expected));
        }
    }
}

TEST_F(DiskTest, EventsStayAsLongAsTheyAreHeld) {
    publish(1'000);
    auto subscription = bus.subscribe("orders", {.start = Start::all()});
    std::vector<Event> held;
    for (int i = 0; i < 64; ++i) held.push_back(std::get<Event>(subscription.receive(patience)));
    EXPECT_EQ(next(subscription), "too_many_held");
    bus.remove_topic("orders", true);
    for (const auto& event : held) EXPECT_EQ(event.text(), text_of(event.sequence()));
    for (auto& event : held) EXPECT_EQ(event.release(), Released::intact);
}

TEST_F(DiskTest, FiltersLeaveOutTheSame) {
    publish(1'000);
    auto of_type = bus.subscribe("orders", {.start = Start::all(), .types = {2}});
    auto of_key = bus.subscribe("orders", {.start = Start::all(), .key = "k1"});
    auto of_nothing = bus.subscribe("orders", {.start = Start::all(), .types = {77}});
    for (Sequence s = 2; s <= 1'000; s += 5) ASSERT_EQ(next(of_type), std::to_string(s));
    for (Sequence s = 1; s <= 1'000; s += 3) ASSERT_EQ(next(of_key), std::to_string(s));
    for (auto* one : {&of_type, &of_key, &of_nothing}) EXPECT_EQ(next(*one, 10ms), "timed_out");
    EXPECT_EQ(of_nothing.position(), 1'001U);
}

TEST_F(DiskTest, StartsWhereItIsToldTo) {
    publish(500);
    const auto middle =
        std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
    publish(500);
    restart();
    const auto first = [&](const Start& start) {
        auto subscription = bus.subscribe("orders", {.start = start});
        return next(subscription, 10ms);
    };
    EXPECT_EQ(first(Start::sequence(700)), "700");
    EXPECT_EQ(first(Start::sequence(1)), "1");
    EXPECT_EQ(first(Start::sequence(0)), "1");
    EXPECT_EQ(first(Start::sequence(1'001)), "timed_out");
    EXPECT_EQ(first(Start::last()), "1000");
    EXPECT_EQ(first(Start::latest()), "timed_out");
    EXPECT_EQ(first(Start::time(middle)), "501");
    EXPECT_EQ(first(Start::time({})), "1");
    EXPECT_EQ(first(Start::time(middle + 1h)), "timed_out");
}

TEST_F(DiskTest, AnEmptyTopicHasNothing) {
    for (const auto& start : {Start::all(), Start::last(), Start::sequence(1), Start::time({})}) {
        auto subscription = bus.subscribe("orders", {.start = start});
        EXPECT_EQ(next(subscription, 1ms), "timed_out");
        EXPECT_EQ(subscription.position(), 1U);
    }
}

TEST_F(DiskTest, WhatHasExpiredIsOneGap) {
    auto options = on_disk();
    options.keep_bytes = 1 << 20;
    bus.remove_topic("orders");
    bus.create_topic("orders", options);
    auto asleep = bus.subscribe("orders", {.start = Start::all()});
    publish(200);
    expect_run(asleep, 1, 100); // now it falls behind
    publish(20'000);
    const Sequence first = segments().begin()->first;
    ASSERT_GT(first, 1'000U);
    EXPECT_EQ(bus.topic("orders").first, first);
    auto oldest = bus.subscribe("orders", {.start = Start::all()});
    expect_run(oldest, first, published);
    auto told = bus.subscribe("orders", {.start = Start::sequence(5)});
    EXPECT_EQ(next(told), "gap 5-" + std::to_string(first - 1) + " expired");
    expect_run(told, first, published);
    // It still has a file, and what is in that: then there is a gap.
    Sequence s = 101;
    std::string found;
    while ((found = next(asleep)) == std::to_string(s)) ++s;
    EXPECT_EQ(found, "gap " + std::to_string(s) + '-' + std::to_string(first - 1) + " expired");
    expect_run(asleep, first, published);
}

TEST_F(DiskTest, WhatADurableSubscriptionNeedsIsHeldUpToACap) {
    auto options = on_disk();
    options.keep_bytes = 1 << 20;
    options.hold = true;
    bus.remove_topic("orders");
    bus.create_topic("orders", options);
    bus.create_subscription("orders", "worker");
    publish(12'000); // 2 to 3 MiB
    EXPECT_EQ(segments().begin()->first, 1U);
    {
        auto worker = bus.subscribe("orders", {.start = Start::all(), .name = "worker"});
        expect_run(worker, 1, 12'000);
    }
    publish(2'000);
    EXPECT_GT(segments().begin()->first, 1'000U) << "nobody needs it any more";
    publish(30'000);
    const Sequence first = segments().begin()->first;
    EXPECT_GT(first, 12'000U) << "more than is held for anybody";
    auto worker = bus.subscribe("orders", {.start = Start::all(), .name = "worker"});
    EXPECT_EQ(next(worker), "gap 12000-" + std::to_string(first - 1) + " expired");
}

TEST_F(DiskTest, ADamagedEventIsTheOnlyOneThatIsMissed) {
    publish(1'000);
    restart();
    const auto file = segments().begin()->second;
    std::string bytes;
    {
        std::ifstream in(file, std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    const auto at = bytes.find(text_of(321));
    ASSERT_NE(at, std::string::npos);
    bytes[at + 3] ^= 1;
    std::ofstream(file, std::ios::binary) << bytes;
    auto subscription = bus.subscribe("orders", {.start = Start::all()});
    expect_run(subscription, 1, 320);
    EXPECT_EQ(next(subscription), "gap 321-321 corrupt");
    expect_run(subscription, 322, 1'000);
}

/// One of several files, whatever is in its place.
TEST_F(DiskTest, AFileThatCannotBeReadIsOneGap) {
    auto options = on_disk();
    options.keep_bytes = 0; // for ever
    bus.remove_topic("orders");
    bus.create_topic("orders", options);
    publish(8'000);
    const auto files = segments();
    ASSERT_GE(files.size(), 3U);
    const auto hit = std::next(files.begin());
    const Sequence first = hit->first;
    const Sequence end = std::next(hit)->first;
    const auto file = hit->second;
    const auto whole = state.path() / "whole";
    const std::map<std::string, std::function<void()>> replacements{
        {"empty", [&] { std::ofstream(file).close(); }},
        {"garbage", [&] { std::ofstream(file) << std::string(100'000, '?'); }},
        {"a directory", [&] { fs::create_directory(file); }},
        {"a link", [&] { fs::create_symlink(whole, file); }},
        {"a fifo", [&] { ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0); }},
    };
    for (const auto& [what, replace] : replacements) {
        SCOPED_TRACE(what);
        daemon.kill(SIGTERM);
        daemon.wait();
        fs::rename(file, whole);
        replace();
        daemon.restart();
        auto subscription = bus.subscribe("orders", {.start = Start::all()});
        expect_run(subscription, 1, first - 1);
        EXPECT_EQ(next(subscription),
                  "gap " + std::to_string(first) + '-' + std::to_string(end - 1) + " corrupt");
        expect_run(subscription, end, published);
        auto inside = bus.subscribe("orders", {.start = Start::sequence(first + 5)});
        EXPECT_EQ(next(inside),
                  "gap " + std::to_string(first + 5) + '-' + std::to_string(end - 1) + " corrupt");
        auto by_time = bus.subscribe("orders", {.start = Start::time({})});
        EXPECT_EQ(next(by_time), "1");
        daemon.kill(SIGTERM);
        daemon.wait();
        fs::remove(file);
        fs::rename(whole, file);
        daemon.restart();
    }
}

TEST_F(DiskTest, ATopicThatIsRemovedEnds) {
    publish(1'000);
    auto subscription = bus.subscribe("orders", {.start = Start::all()});
    expect_run(subscription, 1, 10);
    bus.remove_topic("orders", true);
    std::string last;
    for (Sequence s = 11; (last = next(subscription)) == std::to_string(s); ++s) {
    }
    EXPECT_EQ(last, "closed");
}

TEST_F(DiskTest, IsWaitedForWithOthers) {
    publish(100);
    auto behind = bus.subscribe("orders", {.start = Start::all()});
    WaitSet set;
    set.add(behind);
    for (Sequence s = 1; s <= 100; ++s) {
        ASSERT_TRUE(set.wait(patience));
        ASSERT_EQ(next(behind, Deadline::now()), std::to_string(s));
    }
    EXPECT_FALSE(set.wait(1ms));
    publish(1);
    EXPECT_TRUE(set.wait(patience));
}

TEST_F(DiskTest, NoSubscriberHoldsUpAPublisher) {
    const auto never_reads = bus.subscribe("orders", {.start = Start::all()});
    publish(1'000);
    EXPECT_EQ(bus.topic("orders").head, 1'000U);
}

} // namespace
} // namespace shmbus::test
