// Proves what the data path does not do, with strace attached and malloc() counted:
//
//   * a parked subscriber makes no system call and uses no CPU until an event comes;
//   * a publisher with nobody parked makes none, whether nobody subscribes or somebody polls, and
//     the one who polls makes none either;
//   * neither allocates, inline or in chunks, with and without attributes, copied or loaned;
//   * the daemon makes none meanwhile, but that it looks for stopped publishers once a second.
#include "base/clock.hpp"
#include "process/allocations.hpp"
#include "process/inside.hpp"
#include "process/strace.hpp"
#include "shmbus/bus.hpp"
#include "support/daemon_process.hpp"

#include <ctime>
#include <gtest/gtest.h>
#include <iostream>

namespace shmbus::test {

namespace {

constexpr std::uint64_t events = 100'000;
constexpr std::uint32_t last_type = 9;

/// park SOCKET: says which event came, as it comes.
SHMBUS_WORKER(park) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("idle", {.spin = std::chrono::nanoseconds::zero()});
    say("ready");
    for (;;) {
        auto received = subscription.receive(Deadline::never());
        if (const auto* event = std::get_if<Event>(&received))
            say("got " + std::to_string(event->sequence()));
    }
}

std::string measured(std::uint64_t from, std::uint64_t to, std::uint64_t allocated) {
    return "measured " + std::to_string(from) + ' ' + std::to_string(to) + ' ' +
           std::to_string(allocated);
}

/// publish SOCKET: all kinds of events.
SHMBUS_WORKER(publish) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("idle");
    const std::string payload(3'000, 'p');
    const Header headers[] = {{"name", "value"}};
    const Attributes rich{.key = "key",
                          .type = 7,
                          .id = 1,
                          .correlation = CorrelationId::random(),
                          .cause = Cause{"other", 1},
                          .headers = headers};
    say("ready");
    hear();
    const std::uint64_t allocated = allocations();
    const std::uint64_t from = base::wall_ns();
    bool good = true;
    for (std::uint64_t i = 0; i < events; i += 5) {
        good &= bool(publisher.publish(std::string_view(payload).substr(0, i % 64)));
        good &= bool(publisher.publish(std::string_view(payload).substr(0, 20), rich));
        good &= bool(publisher.publish(payload));
        good &= bool(publisher.publish(payload, rich));
        good &= bool(publisher.publish(publisher.loan(5'000, rich)));
    }
    const std::uint64_t to = base::wall_ns();
    const std::uint64_t more = allocations() - allocated;
    if (!good) throw std::runtime_error("an event was not published");
    publisher.publish("", {.key = {}, .type = last_type});
    say(measured(from, to, more));
    hear();
    return 0;
}

/// poll SOCKET: receives without ever waiting.
SHMBUS_WORKER(poll) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("idle", {.lossy = true});
    say("ready");
    hear();
    say("polls");
    const std::uint64_t allocated = allocations();
    const std::uint64_t from = base::wall_ns();
    std::uint64_t seen = 0;
    for (bool last = false; !last;) {
        auto received = subscription.receive(Deadline::now());
        if (const auto* event = std::get_if<Event>(&received)) {
            last = event->type() == last_type;
            ++seen;
        } else if (const auto* gap = std::get_if<Gap>(&received)) {
            seen += gap->last - gap->first + 1;
        }
    }
    const std::uint64_t to = base::wall_ns();
    const std::uint64_t more = allocations() - allocated;
    if (seen != events + 1) throw std::runtime_error("not all was seen");
    say(measured(from, to, more));
    hear();
    return 0;
}

/// Without what the daemon's looks take, in so much time.
std::vector<SystemCall> without_looks(std::vector<SystemCall> calls, pid_t daemon,
                                      std::uint64_t ns) {
    std::uint64_t looks = 2 * (1 + ns / 1'000'000'000); // it wakes up, and goes to sleep again
    std::erase_if(calls, [&](const auto& call) {
        return call.thread == daemon && call.text.find("epoll_wait") != std::string::npos &&
               looks != 0 && looks-- != 0;
    });
    return calls;
}

class Idle : public ::testing::Test {
  protected:
    void SetUp() override {
        bus_.create_topic(
            "idle", {.capacity = 1U << 17U, .slot_bytes = 128, .retention = Retention::memory});
    }
    /// The time that is measured: nothing happens in it.
    static void let_pass(std::chrono::milliseconds time) {
        const timespec length{time.count() / 1'000, time.count() % 1'000 * 1'000'000};
        ::nanosleep(&length, nullptr);
    }
    DaemonProcess daemon_;
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
};

TEST_F(Idle, AParkedSubscriberDoesNothing) {
    auto subscriber = Child::worker("park", {daemon_.socket()});
    EXPECT_EQ(subscriber.hear(), "ready");
    auto publisher = bus_.publisher("idle");
    EXPECT_TRUE(publisher.publish("1"));
    EXPECT_EQ(subscriber.hear(), "got 1");
    wait_until_parked(subscriber.pid());

    const auto ticks = usage_of(subscriber.pid()).cpu_ticks;
    let_pass(std::chrono::seconds(1));
    EXPECT_EQ(usage_of(subscriber.pid()).cpu_ticks, ticks);

    Strace strace({subscriber.pid(), daemon_.pid()});
    EXPECT_TRUE(is_parked(subscriber.pid()));
    const std::uint64_t from = base::wall_ns();
    let_pass(std::chrono::milliseconds(1'500));
    const std::uint64_t to = base::wall_ns();
    EXPECT_TRUE(publisher.publish("2"));
    EXPECT_EQ(subscriber.hear(), "got 2");
    const std::uint64_t end = base::wall_ns();
    const auto calls = strace.stop(from, end);
    std::vector<SystemCall> idle;
    bool woken = false; // or strace saw nothing at all
    for (const auto& call : calls) {
        if (call.time_ns <= to) idle.push_back(call);
        if (call.time_ns > to && call.text.find("got 2") != std::string::npos) woken = true;
    }
    idle = without_looks(idle, daemon_.pid(), to - from);
    EXPECT_TRUE(idle.empty()) << to_string(idle);
    EXPECT_TRUE(woken) << to_string(calls);
}

/// Has the worker publish with strace on all of `processes`, the second of which is the daemon; reports what they called meanwhile.
void expect_silence(Child& publisher, const std::vector<pid_t>& processes, Child* poller) {
    Strace strace(processes);
    if (poller != nullptr) {
        poller->say("go");
        EXPECT_EQ(poller->hear(), "polls");
    }
    publisher.say("go");
    const auto published = publisher.hear_numbers("measured");
    const std::uint64_t from = published.at(0);
    const std::uint64_t to = published.at(1);
    EXPECT_GT(to, from);
    std::uint64_t allocated = published.at(2);
    if (poller != nullptr) allocated += poller->hear_numbers("measured").at(2);
    const auto calls = strace.stop(from, base::wall_ns());
    std::vector<SystemCall> inside;
    bool afterwards = false; // or strace saw nothing at all
    for (const auto& call : calls) {
        if (call.time_ns <= to) inside.push_back(call);
        if (call.time_ns > to && call.text.starts_with("write(1")) afterwards = true;
    }
    inside = without_looks(inside, processes.at(1), to - from);
    EXPECT_TRUE(inside.empty()) << to_string(inside);
    EXPECT_TRUE(afterwards);
    if (!instrumented) {
        EXPECT_GT(allocations(), 0U) << "the counter does not count";
        EXPECT_EQ(allocated, 0U);
    }
    std::cout << events << " events in " << (to - from) / 1'000 << " us, " << inside.size()
              << " system calls, " << allocated << " allocations\n";
}

TEST_F(Idle, APublisherAloneMakesNoSystemCall) {
    auto publisher = Child::worker("publish", {daemon_.socket()});
    EXPECT_EQ(publisher.hear(), "ready");
    expect_silence(publisher, {publisher.pid(), daemon_.pid()}, nullptr);
    publisher.say("end");
    EXPECT_EQ(publisher.wait(), 0);
}

TEST_F(Idle, APublisherWithAPollerMakesNoSystemCall) {
    auto poller = Child::worker("poll", {daemon_.socket()});
    EXPECT_EQ(poller.hear(), "ready");
    auto publisher = Child::worker("publish", {daemon_.socket()});
    EXPECT_EQ(publisher.hear(), "ready");
    expect_silence(publisher, {publisher.pid(), daemon_.pid(), poller.pid()}, &poller);
    publisher.say("end");
    poller.say("end");
    EXPECT_EQ(publisher.wait(), 0);
    EXPECT_EQ(poller.wait(), 0);
}

} // namespace

} // namespace shmbus::test
