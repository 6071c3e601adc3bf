// A publisher that has a topic to itself.
#include "client/fixture.hpp"

#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

using ExclusiveTest = ClientTest;

Errc refused(Bus& bus, bool exclusive) {
    try {
        (void)bus.publisher("orders", {.exclusive = exclusive});
    } catch (const Error& e) {
        return e.code();
    }
    return {};
}

TEST_F(ExclusiveTest, PublishesAsAnyOther) {
    auto publisher = bus.publisher("orders", {.exclusive = true});
    EXPECT_TRUE(bus.topic("orders").exclusive);
    auto subscription = subscribe();
    EXPECT_EQ(publisher.publish("a", {.key = "k", .type = 3}).sequence, 1U);
    const std::string large(60'000, 'x');
    EXPECT_EQ(publisher.publish(large).sequence, 2U);
    auto loan = publisher.loan(3);
    ASSERT_TRUE(loan);
    std::memcpy(loan.payload().data(), "abc", 3);
    EXPECT_EQ(publisher.publish(loan).sequence, 3U);
    EXPECT_EQ(text_of(subscription.receive(30s)), "1 a");
    EXPECT_EQ(text_of(subscription.receive(30s)), "2 " + large);
    EXPECT_EQ(text_of(subscription.receive(30s)), "3 abc");
}

TEST_F(ExclusiveTest, GoesWithNoOther) {
    {
        const auto shared = bus.publisher("orders");
        EXPECT_EQ(refused(bus, true), Errc::busy);
    }
    {
        const auto exclusive = bus.publisher("orders", {.exclusive = true});
        EXPECT_EQ(refused(bus, true), Errc::busy);
        EXPECT_EQ(refused(bus, false), Errc::busy);
    }
    EXPECT_EQ(refused(bus, true), Errc{});
    EXPECT_FALSE(bus.topic("orders").exclusive);
}

/// Killed in the middle, again and again: the next one goes on, nothing is missing.
TEST_F(ExclusiveTest, IsHandedOnWhenItsProcessIsDead) {
    auto subscription = subscribe();
    Sequence seen = 0;
    for (int round = 0; round < 20; ++round) {
        int ready[2];
        ASSERT_EQ(::pipe(ready), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            try {
                Bus own(BusOptions{.socket = daemon.socket()});
                for (const Deadline deadline = 30s; !deadline.passed();) {
                    if (refused(own, true) == Errc::busy) continue; // the last one is being buried
                    auto publisher = own.publisher("orders", {.exclusive = true});
                    const std::vector<Outgoing> events(7, {as_bytes("event")});
                    for (bool first = true; publisher.publish(events); first = false)
                        if (first && ::write(ready[1], "!", 1) != 1) break;
                }
            } catch (const std::exception&) {
            }
            ::_exit(1);
        }
        ::close(ready[1]);
        char sign = 0;
        EXPECT_EQ(::read(ready[0], &sign, 1), 1);
        ::close(ready[0]);
        for (int i = 0; i < 100 + round; ++i) {
            const auto received = subscription.receive(30s);
            const auto* event = std::get_if<Event>(&received);
            ASSERT_NE(event, nullptr) << text_of(received);
            ASSERT_EQ(event->sequence(), ++seen);
        }
        ::kill(child, SIGKILL);
        ASSERT_EQ(::waitpid(child, nullptr, 0), child);
        // What it left: events, and tombstones for what it had under way.
        for (bool buried = false; !buried;) {
            buried = refused(bus, true) == Errc{};
            for (;;) {
                const auto received = subscription.receive(Deadline::now());
                if (const auto* event = std::get_if<Event>(&received)) {
                    ASSERT_EQ(event->sequence(), ++seen);
                } else if (const auto* gap = std::get_if<Gap>(&received)) {
                    ASSERT_EQ(gap->first, seen + 1);
                    ASSERT_EQ(gap->reason, GapReason::aborted);
                    seen = gap->last;
                } else {
                    break;
                }
            }
        }
        EXPECT_EQ(seen, bus.topic("orders").head);
    }
}

} // namespace
} // namespace shmbus::test
