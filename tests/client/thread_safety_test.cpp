// What the headers say under "Thread safety", done by threads; meant for ThreadSanitizer, which looks
// at the library's private state. (It takes the two mappings of a topic for different memory: what goes
// through them is tests/ring's affair.)
#include "client/fixture.hpp"

#include <atomic>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;

constexpr TopicOptions small{.capacity = 16,
                             .slot_bytes = 128,
                             .max_event = 8192,
                             .pool_bytes = 1 << 20,
                             .retention = Retention::memory};

/// Runs `work(i)` in that many threads, which begin together.
void in_threads(unsigned count, const std::function<void(unsigned)>& work) {
    std::atomic<unsigned> missing{count};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < count; ++i)
        threads.emplace_back([&, i] {
            --missing;
            while (missing != 0) std::this_thread::yield();
            work(i);
        });
    for (auto& thread : threads) thread.join();
}

class ThreadSafetyTest : public ClientTest {
  protected:
    ThreadSafetyTest() : ClientTest(small) {}
};

// ---- Bus: all methods from any thread ----------------------------------------------------------

TEST_F(ThreadSafetyTest, AllMethodsOfABusFromAnyThread) {
    in_threads(4, [&](unsigned i) {
        const auto own = "own" + std::to_string(i);
        for (int round = 0; round < 10; ++round) {
            bus.create_topic(own, small);
            EXPECT_FALSE(bus.create_topic_if_missing("orders", small));
            {
                auto publisher = bus.publisher(own);
                auto subscription = bus.subscribe(own, {.start = Start::all()});
                EXPECT_TRUE(publisher.publish(own));
                EXPECT_EQ(text_of(subscription.receive(30s)), "1 " + own);
            }
            EXPECT_EQ(bus.topic(own).head, 1U);
            EXPECT_GE(bus.topics().size(), 2U);
            EXPECT_TRUE(bus.drain_topic(own, 30s));
            bus.undrain_topic(own);
            bus.remove_topic(own);
            EXPECT_EQ(bus.socket(), daemon.socket());
        }
    });
}

TEST_F(ThreadSafetyTest, ManyReconnectAtOnce) {
    std::atomic<bool> over{false};
    std::thread callers([&] {
        in_threads(3, [&](unsigned) {
            while (!over) {
                try {
                    (void)bus.create_topic_if_missing("orders", small);
                    (void)bus.publisher("orders").publish("x");
                } catch (const Error&) { // NOLINT(bugprone-empty-catch): as it happens
                }
            }
        });
    });
    for (int i = 0; i < 3; ++i) { // here, as a daemon dies with the thread that started it
        daemon.kill(SIGKILL);
        daemon.wait();
        daemon.restart();
    }
    over = true;
    callers.join();
    EXPECT_NO_THROW((void)bus.topics());
}

// ---- Publisher, Subscription: one thread at a time, each its own ---------------------------------

TEST_F(ThreadSafetyTest, EachThreadItsOwnPublisherAndSubscription) {
    constexpr unsigned pairs = 2;
    constexpr std::uint64_t each = 500;
    std::atomic<unsigned> attached{0};
    const std::string large(1000, 'x'); // in a chunk
    in_threads(2 * pairs, [&](unsigned i) {
        if (i < pairs) {
            auto subscription = bus.subscribe("orders", {.start = Start::all()});
            ++attached;
            for (Sequence next = 1; next <= pairs * each; ++next) {
                const auto received = subscription.receive(30s);
                const auto* event = std::get_if<Event>(&received);
                ASSERT_NE(event, nullptr) << text_of(received);
                ASSERT_EQ(event->sequence(), next);
            }
            return;
        }
        auto publisher = bus.publisher("orders");
        while (attached != pairs) std::this_thread::yield();
        for (std::uint64_t id = 0; id < each; ++id)
            ASSERT_TRUE(publisher.publish(id % 2 == 0 ? large : "y"));
    });
}

/// Whoever has the mutex uses all of it, also what the one before left: that is one at a time.
TEST_F(ThreadSafetyTest, OneThreadAtATimeUsesThemAll) {
    auto publisher = bus.publisher("orders");
    auto subscription = subscribe();
    WaitSet set;
    set.add(subscription);
    Loan loan = publisher.loan(1000);
    Event event;
    std::mutex one;
    in_threads(4, [&](unsigned) {
        for (int round = 0; round < 100; ++round) {
            const std::lock_guard lock(one);
            ASSERT_TRUE(loan);
            ASSERT_TRUE(publisher.publish(std::move(loan)));
            loan = publisher.loan(1000);
            ASSERT_EQ(event.release(), Released::intact);
            ASSERT_EQ(set.wait(30s).subscription, &subscription);
            auto received = subscription.receive(Deadline::now());
            ASSERT_TRUE(std::holds_alternative<Event>(received)) << text_of(received);
            event = std::move(std::get<Event>(received));
            subscription.acknowledge(event);
        }
    });
}

// ---- Event: may outlive its Subscription, and that the Bus ---------------------------------------

TEST_F(ThreadSafetyTest, EventsOutliveSubscriptionAndBus) {
    auto publisher = bus.publisher("orders");
    in_threads(3, [&](unsigned i) {
        for (int round = 0; round < 10; ++round) {
            Event event;
            {
                Bus own{BusOptions{.socket = daemon.socket()}};
                auto subscription = own.subscribe("orders", {.start = Start::latest()});
                if (i == 0) { // it publishes, the others come when they may
                    ASSERT_TRUE(publisher.publish(std::string(1000, 'x')));
                }
                auto received = subscription.receive(i == 0 ? 30s : 0s);
                if (auto* found = std::get_if<Event>(&received)) event = std::move(*found);
            }
            if (i == 0) {
                EXPECT_EQ(event.payload().size(), 1000U);
            }
        }
    });
    EXPECT_EQ(bus.topic("orders").subscriber_count, 0U);
}

// ---- interrupt(): from any thread and from a signal handler --------------------------------------

/// Something that sleeps: how it does, which says whether it was interrupted, and how it is woken.
struct Sleep {
    std::function<bool()> wait;
    std::function<void()> interrupt;
};

const Sleep* handlers_sleep = nullptr;

class InterruptTest : public ThreadSafetyTest, public testing::WithParamInterface<const char*> {
  protected:
    InterruptTest() {
        const std::string_view who = GetParam();
        if (who == "publisher") {
            bus.create_topic("full", {.capacity = 2,
                                      .slot_bytes = 128,
                                      .evict_after_ms = 60'000,
                                      .retention = Retention::memory});
            subscriptions.push_back(bus.subscribe("full"));
            publishers.push_back(bus.publisher("full"));
            auto& publisher = publishers[0];
            while (publisher.publish(as_bytes("x"), {}, Deadline::now())) {
            }
            sleep = {[&] {
                         return publisher.publish(as_bytes("x"), {}, 30s).outcome ==
                                PublishOutcome::interrupted;
                     },
                     [&] { publisher.interrupt(); }};
            return;
        }
        const bool many = who == "wait_set_of_many";
        for (std::size_t i = 0; i < (many ? 130U : 1U); ++i) {
            bus.create_topic("t" + std::to_string(i),
                             {.capacity = 2, .slot_bytes = 128, .retention = Retention::memory});
            subscriptions.push_back(bus.subscribe("t" + std::to_string(i), {.spin = 0s}));
        }
        auto& subscription = subscriptions[0];
        sleep = {[&] {
                     const auto received = subscription.receive(30s);
                     const auto* nothing = std::get_if<Nothing>(&received);
                     return nothing != nullptr && *nothing == Nothing::interrupted;
                 },
                 [&] { subscription.interrupt(); }};
        if (who == "subscription") return;
        for (auto& member : subscriptions) set.add(member);
        if (who == "wait_set_with_descriptor") (void)set.descriptor();
        sleep = {[&] { return set.wait(30s).why == Nothing::interrupted; },
                 [&] { set.interrupt(); }};
    }
    std::vector<Publisher> publishers;
    std::vector<Subscription> subscriptions;
    WaitSet set; // goes first
    Sleep sleep;
    std::atomic<bool> over{false};
};
INSTANTIATE_TEST_SUITE_P(ThreadSafetyTest, InterruptTest,
                         testing::Values("publisher", "subscription", "wait_set",
                                         "wait_set_of_many", "wait_set_with_descriptor"),
                         [](const auto& of) { return std::string(of.param); });

TEST_P(InterruptTest, FromAnyThread) {
    const auto wake = [&] {
        while (!over) {
            sleep.interrupt();
            std::this_thread::yield();
        }
    };
    std::thread one(wake);
    std::thread another(wake);
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(sleep.wait()) << i;
    over = true;
    one.join();
    another.join();
}

/// The handler runs in another thread, or in the very one before it goes to sleep.
TEST_P(InterruptTest, FromASignalHandler) {
    handlers_sleep = &sleep;
    struct sigaction action {};
    action.sa_handler = [](int) { handlers_sleep->interrupt(); };
    action.sa_flags = SA_RESTART;
    struct sigaction before {};
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
    std::thread another([&] {
        while (!over) {
            ::raise(SIGUSR1); // in this thread
            std::this_thread::yield();
        }
    });
    for (int i = 0; i < 200; ++i) {
        if (i % 2 == 0) ::raise(SIGUSR1);
        EXPECT_TRUE(sleep.wait()) << i;
    }
    over = true;
    another.join();
    ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

} // namespace
} // namespace shmbus::test
