// Proves that a named publisher publishes everything once: it is killed at any moment and begins anew
// behind last_event_id(), while its daemon is killed, too, with nobody there to keep anything.
#include "base/clock.hpp"
#include "process/child.hpp"
#include "process/load.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <gtest/gtest.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

/// clerk SOCKET: publishes one event after the other until it is killed.
SHMBUS_WORKER(clerk) {
    Bus bus({.socket = args.text(0)});
    const auto open = [&] {
        for (const Deadline end = patience;;) {
            try {
                return bus.publisher("orders", {.name = "clerk", .timeout = patience});
            } catch (const Error& e) { // the daemon may not know yet that the one before is dead
                if (e.code() != Errc::busy || end.passed()) throw;
            }
        }
    };
    auto publisher = open();
    std::uint64_t id = publisher.last_event_id();
    say("from " + std::to_string(id));
    for (;;) {
        // Not sure of the last one, as if it had been killed between the event and its own note of it.
        if (id != 0 && publisher.publish("again", {.id = id}).outcome != PublishOutcome::duplicate)
            throw std::runtime_error("it was published twice");
        ++id;
        const auto result = publisher.publish(std::to_string(id), {.id = id});
        if (!result) throw std::runtime_error(name_of(result.outcome));
    }
}

class KillNamed : public testing::Test {
  protected:
    KillNamed() {
        Bus bus({.socket = daemon_.socket()});
        bus.create_topic("orders", {.capacity = 64, .slot_bytes = 128});
    }
    void restart_daemon(int signal) {
        daemon_.kill(signal);
        ASSERT_EQ(daemon_.wait(), signal == SIGKILL ? -SIGKILL : 0);
        daemon_.restart();
    }
    static void kill(Child& clerk) {
        clerk.kill(SIGKILL);
        ASSERT_EQ(clerk.wait(), -SIGKILL) << "it found something wrong";
    }
    void wait_for_a_while() {
        const auto until = base::monotonic_ns() + random_.below(20'000'000);
        while (base::monotonic_ns() < until) base::relax();
    }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--state-dir", state_.path().string()}};
    Random random_{seed()};
};

TEST_F(KillNamed, EveryIdIsThereOnce) {
    const int kills = long_form() ? 500 : 30;
    std::uint64_t from = 0;
    unsigned moved = 0;
    for (int i = 0; i < kills; ++i) {
        auto clerk = Child::worker("clerk", {daemon_.socket()});
        const auto began = clerk.hear_numbers("from").at(0);
        moved += began > from ? 1 : 0;
        from = began;
        wait_for_a_while();
        const auto fate = random_.below(4); // of the daemon
        switch (fate) {
        case 0: restart_daemon(SIGKILL); break; // which the clerk outlives,
        case 1: restart_daemon(SIGTERM); break;
        case 2: daemon_.kill(SIGKILL); break; // or not
        default: break;
        }
        wait_for_a_while();
        kill(clerk);
        if (fate == 2) restart_daemon(SIGKILL);
    }
    Bus bus({.socket = daemon_.socket()});
    auto subscription = bus.subscribe("orders", {.start = Start::all()});
    std::uint64_t last = 0;
    std::uint64_t lost = 0;
    while (!subscription.caught_up()) {
        const auto received = subscription.receive(patience);
        if (const auto* gap = std::get_if<Gap>(&received)) {
            lost += gap->reason == GapReason::lost ? 1 : 0;
            continue;
        }
        ASSERT_TRUE(std::holds_alternative<Event>(received));
        const auto& event = std::get<Event>(received);
        ASSERT_EQ(event.id(), ++last) << "at sequence " << event.sequence();
        ASSERT_EQ(event.text(), std::to_string(last));
    }
    EXPECT_GE(last, from);
    EXPECT_GT(moved, static_cast<unsigned>(kills) / 4);
    RecordProperty("events", std::to_string(last));
    RecordProperty("lost gaps", std::to_string(lost));
}

} // namespace

} // namespace shmbus::test
