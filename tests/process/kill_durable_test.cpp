// Proves that a durable subscription survives its holder, killed with SIGKILL at any moment: every event
// is delivered, in order, and none again that was acknowledged.
//
// The ring is small, so that publishers lap it all the time and a new holder begins in the files. What
// the holders saw is in memory that outlives them: a word written before an acknowledgement, and one after.
#include "base/atomic.hpp"
#include "base/clock.hpp"
#include "base/mapping.hpp"
#include "base/memfd.hpp"
#include "process/child.hpp"
#include "process/load.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <gtest/gtest.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

struct Seen {
    base::Word64 delivered; // to any holder, up to here without a hole
    base::Word64 acknowledged;
    base::Word64 holders; // that received something
    base::Word64 repeats; // of what was not acknowledged
};

TopicOptions lapped() {
    TopicOptions options{.capacity = 64, .slot_bytes = 128, .max_event = 64, .pool_bytes = 0};
    options.retention = Retention::disk;
    options.sync = Sync::none; // faster
    return options;
}

/// publisher SOCKET
SHMBUS_WORKER(publisher) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("events");
    say("ready");
    for (;;)
        if (!publisher.publish("event", {}, patience)) throw std::runtime_error("publish");
}

/// consumer SOCKET: descriptor 3 is what was seen.
SHMBUS_WORKER(consumer) {
    const base::Mapping mapping(base::Fd(3), base::Access::read_write, sizeof(Seen));
    auto& seen = *reinterpret_cast<Seen*>(mapping.bytes().data());
    Bus bus({.socket = args.text(0)});
    // The daemon may not know yet that the one before is dead.
    auto subscription = bus.subscribe(
        "events",
        {.start = Start::all(), .name = "worker", .steal = true, .auto_acknowledge = false});
    const Sequence done = seen.acknowledged.load_acquire();
    for (bool first = true;; first = false) {
        const auto received = subscription.receive(patience);
        const auto* event = std::get_if<Event>(&received);
        if (event == nullptr) throw std::runtime_error("no event");
        const Sequence s = event->sequence();
        const Sequence delivered = seen.delivered.load_acquire();
        if (s > delivered + 1) throw std::runtime_error("events were left out");
        if (s <= done) throw std::runtime_error("an acknowledged event came again");
        if (first) seen.holders.fetch_add_seq_cst(1);
        if (s <= delivered)
            seen.repeats.fetch_add_seq_cst(1);
        else
            seen.delivered.store_release(s);
        if (s % 3 == 0) continue; // not each by itself
        subscription.acknowledge(s);
        seen.acknowledged.store_release(s);
    }
}

class KillDurable : public testing::Test {
  protected:
    KillDurable() {
        bus_.create_topic("events", lapped());
        publishers_.push_back(Child::worker("publisher", {daemon_.socket()}));
        publishers_.push_back(Child::worker("publisher", {daemon_.socket()}));
        for (auto& publisher : publishers_) EXPECT_EQ(publisher.hear(), "ready");
    }
    Child start_consumer() {
        return Child::worker("consumer", {daemon_.socket()}, {memory_.get()});
    }
    void stop_publishers() {
        for (auto& publisher : publishers_) {
            publisher.kill(SIGTERM);
            EXPECT_EQ(publisher.wait(), -SIGTERM);
        }
    }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--state-dir", state_.path().string()}};
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    base::Fd memory_ = base::make_memfd("seen", sizeof(Seen), sizeof(Seen));
    base::Mapping mapping_{memory_, base::Access::read_write, sizeof(Seen)};
    Seen& seen_ = *reinterpret_cast<Seen*>(mapping_.bytes().data());
    std::vector<Child> publishers_;
    Random random_{seed()};
};

TEST_F(KillDurable, NothingIsMissedAndNothingAcknowledgedComesAgain) {
    const int kills = long_form() ? 1'000 : 100;
    for (int i = 0; i < kills; ++i) {
        const auto holders = seen_.holders.load_acquire();
        auto consumer = start_consumer();
        // Half of them while they receive, the others wherever they are.
        const bool receives = i % 2 == 0;
        for (const Deadline end = patience; receives && seen_.holders.load_acquire() == holders;)
            ASSERT_FALSE(end.passed() || consumer.ended(Deadline::now()));
        const auto until = base::monotonic_ns() + random_.below(receives ? 5'000'000 : 30'000'000);
        while (base::monotonic_ns() < until) base::relax();
        consumer.kill(SIGKILL);
        ASSERT_EQ(consumer.wait(), -SIGKILL) << "it found something wrong";
    }
    auto last = start_consumer();
    stop_publishers();
    const Sequence head = bus_.topic("events").head;
    for (const Deadline end = patience; seen_.delivered.load_acquire() < head;) {
        ASSERT_FALSE(end.passed()) << seen_.delivered.load_acquire() << " of " << head;
        ASSERT_FALSE(last.ended(std::chrono::milliseconds(10)));
    }
    last.kill(SIGKILL);
    EXPECT_EQ(last.wait(), -SIGKILL);
    EXPECT_GT(head, 100U * 64) << "laps";
    EXPECT_GE(seen_.holders.load_acquire(), static_cast<unsigned>(kills) / 2);
    EXPECT_GT(seen_.repeats.load_acquire(), 0U);
    RecordProperty("events", std::to_string(head));
    RecordProperty("holders", std::to_string(seen_.holders.load_acquire()));
    RecordProperty("repeats", std::to_string(seen_.repeats.load_acquire()));
}

} // namespace

} // namespace shmbus::test
