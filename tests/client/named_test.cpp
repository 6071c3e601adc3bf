// Named publishers, as a program uses them: whoever begins anew under a name publishes nothing twice,
// whatever died meanwhile.
#include "support/daemon_process.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
constexpr auto patience = 30s;

constexpr auto published = PublishOutcome::published;
constexpr auto duplicate = PublishOutcome::duplicate;

class NamedTest : public testing::Test {
  protected:
    NamedTest() {
        bus.create_topic("orders", {.capacity = 64,
                                    .slot_bytes = 128,
                                    .max_event = 65'536,
                                    .pool_bytes = 1 << 20,
                                    .keep_bytes = 512 << 10});
    }
    Publisher clerk() { return open(bus, "clerk"); }
    static Publisher open(Bus& bus, const std::string& name) {
        return bus.publisher("orders", {.name = name, .timeout = patience});
    }
    static PublishOutcome publish(Publisher& publisher, std::uint64_t id) {
        return publisher.publish("event " + std::to_string(id), {.id = id}).outcome;
    }
    static void publish(Publisher& publisher, std::uint64_t first, std::uint64_t last) {
        for (auto id = first; id <= last; ++id) ASSERT_EQ(publish(publisher, id), published) << id;
    }
    template <class Work> Error refusal(Work work) {
        try {
            work();
        } catch (const Error& e) {
            return e;
        }
        ADD_FAILURE() << "not refused";
        return {Errc::system, ""};
    }
    /// Begins with `of` as that publisher's, and kills it where it ends.
    template <class Work> void in_a_process_that_is_killed(Work work) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            Bus own(BusOptions{.socket = daemon.socket()});
            auto publisher = open(own, "clerk");
            work(publisher);
            ::raise(SIGKILL);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status));
        daemon.process().wait_for_log("pid " + std::to_string(child) + ") has ended");
    }
    void restart(int signal) {
        daemon.kill(signal);
        ASSERT_EQ(daemon.wait(), signal == SIGKILL ? -SIGKILL : 0);
        daemon.restart();
    }
    /// All events that are there: whose, and which.
    struct Kept {
        std::map<std::uint32_t, std::vector<std::uint64_t>> ids; // by publisher
        std::string gaps;
    };
    Kept read_all() {
        Kept kept;
        auto subscription = bus.subscribe("orders", {.start = Start::all()});
        while (!subscription.caught_up()) {
            const auto received = subscription.receive(patience);
            if (const auto* event = std::get_if<Event>(&received))
                kept.ids[event->publisher()].push_back(event->id());
            else if (const auto* gap = std::get_if<Gap>(&received))
                kept.gaps += name_of(gap->reason) + std::string(" ");
            else
                throw std::runtime_error("nothing comes");
        }
        return kept;
    }
    static std::vector<std::uint64_t> up_to(std::uint64_t last) {
        std::vector<std::uint64_t> all(last);
        for (std::uint64_t i = 0; i < last; ++i) all[i] = i + 1;
        return all;
    }

    TemporaryDirectory state;
    DaemonProcess daemon{{"--state-dir", state.path().string()}};
    Bus bus{BusOptions{.socket = daemon.socket()}};
};

TEST_F(NamedTest, PublishesWhatIsAboveItsLastIdAlone) {
    auto publisher = clerk();
    EXPECT_EQ(publisher.last_event_id(), 0U);
    EXPECT_EQ(publish(publisher, 5), published);
    EXPECT_EQ(publisher.last_event_id(), 5U);
    for (const std::uint64_t id : {5U, 4U, 1U}) EXPECT_EQ(publish(publisher, id), duplicate);
    EXPECT_EQ(publish(publisher, 9), published);
    EXPECT_EQ(publisher.publish("the next one").outcome, published) << "without an id";
    EXPECT_EQ(publisher.last_event_id(), 10U);
    EXPECT_EQ(publish(publisher, 10), duplicate);
    EXPECT_THAT(read_all().ids[publisher.id()], ElementsAre(5, 9, 10));
}

TEST_F(NamedTest, LoansAndLargePayloadsCountAsOthersDo) {
    auto publisher = clerk();
    const std::string large(20'000, 'x');
    EXPECT_EQ(publisher.publish(large, {.id = 1}).outcome, published);
    EXPECT_EQ(publisher.publish(large, {.id = 1}).outcome, duplicate);
    EXPECT_EQ(publisher.loan(1'000, {.id = 1}).outcome(), duplicate);
    auto second = publisher.loan(1'000, {.id = 2});
    auto third = publisher.loan(1'000, {.id = 3});
    ASSERT_TRUE(second && third);
    EXPECT_EQ(publisher.publish(third).outcome, published);
    EXPECT_EQ(publisher.publish(second).outcome, duplicate) << "its turn is over";
    EXPECT_TRUE(second) << "and it is still there";
    EXPECT_THAT(read_all().ids[publisher.id()], ElementsAre(1, 3));
}

TEST_F(NamedTest, ABatchSkipsWhatWasPublishedBefore) {
    auto publisher = clerk();
    std::vector<Outgoing> events;
    for (std::uint64_t id = 1; id <= 50; ++id) events.push_back({as_bytes("event"), {.id = id}});
    const auto half = publisher.publish(std::span(events).first(25));
    EXPECT_EQ(half.published, 25U);
    EXPECT_EQ(half.last, 25U);
    const auto all = publisher.publish(events);
    EXPECT_EQ(all.outcome, published);
    EXPECT_EQ(all.published, 50U) << "with those from before";
    EXPECT_EQ(all.last, 50U);
    const auto again = publisher.publish(events);
    EXPECT_EQ(again.published, 50U);
    EXPECT_EQ(again.outcome, published);
    EXPECT_EQ(read_all().ids[publisher.id()], up_to(50));
}

TEST_F(NamedTest, GoesOnWhereItWasWhenItIsOpenedAgain) {
    std::uint32_t id = 0;
    {
        auto publisher = clerk();
        id = publisher.id();
        publish(publisher, 1, 10);
    }
    auto publisher = clerk();
    EXPECT_EQ(publisher.id(), id);
    EXPECT_EQ(publisher.last_event_id(), 10U);
    EXPECT_EQ(publish(publisher, 10), duplicate);
    EXPECT_EQ(publish(publisher, 11), published);
    EXPECT_EQ(read_all().ids[id], up_to(11));
}

TEST_F(NamedTest, HasAnIdOfItsOwnAmongOthers) {
    auto nobody = bus.publisher("orders");
    auto clerk_ = clerk();
    auto boss = open(bus, "boss");
    EXPECT_NE(clerk_.id(), boss.id());
    EXPECT_GE(std::min(clerk_.id(), boss.id()), 1U << 31U);
    EXPECT_LT(nobody.id(), 1U << 31U);
    for (std::uint64_t id = 1; id <= 20; ++id) {
        EXPECT_EQ(publish(clerk_, id), published);
        EXPECT_EQ(publish(nobody, 7), published) << "who has no name gives any id, or none";
        EXPECT_EQ(publish(boss, 100 + id), published);
    }
    const auto kept = read_all();
    EXPECT_EQ(kept.ids.at(clerk_.id()), up_to(20));
    EXPECT_EQ(kept.ids.at(boss.id()).back(), 120U);
    EXPECT_EQ(kept.ids.at(nobody.id()), std::vector<std::uint64_t>(20, 7));
    EXPECT_EQ(nobody.last_event_id(), 0U);
}

TEST_F(NamedTest, OutlivesItsProcess) {
    in_a_process_that_is_killed([](Publisher& publisher) { publish(publisher, 1, 40); });
    auto publisher = clerk();
    EXPECT_EQ(publisher.last_event_id(), 40U);
    EXPECT_EQ(publish(publisher, 40), duplicate);
    publish(publisher, 41, 50);
    EXPECT_EQ(read_all().ids[publisher.id()], up_to(50));
}

TEST_F(NamedTest, GoesOnWithTheNextDaemon) {
    for (const int signal : {SIGTERM, SIGKILL}) {
        auto publisher = clerk();
        const auto id = publisher.id();
        const auto last = publisher.last_event_id();
        publish(publisher, last + 1, last + 20);
        restart(signal);
        publish(publisher, last + 21, last + 40);
        EXPECT_EQ(publish(publisher, last + 40), duplicate);
        EXPECT_EQ(publisher.id(), id);
        EXPECT_EQ(refusal([&] { (void)clerk(); }).code(), Errc::busy) << "it is held on";
    }
    auto publisher = clerk();
    EXPECT_EQ(publisher.last_event_id(), 80U);
    const auto kept = read_all();
    EXPECT_EQ(kept.ids.at(publisher.id()), up_to(80));
    EXPECT_EQ(kept.gaps, "");
}

TEST_F(NamedTest, IsKnownToADaemonThatBeginsWithTheDiskAlone) {
    const std::uint32_t id = clerk().id();
    std::uint64_t last = 0;
    for (const int signal : {SIGTERM, SIGKILL, SIGTERM}) {
        {
            auto publisher = clerk();
            EXPECT_EQ(publisher.id(), id);
            EXPECT_EQ(publisher.last_event_id(), last);
            publish(publisher, last + 1, last + 100);
            last += 100;
            const auto head = bus.topic("orders").head;
            ASSERT_EQ(publisher.wait_durable(head, patience), Durability::durable);
        }
        restart(signal);
    }
    auto publisher = clerk();
    EXPECT_EQ(publisher.last_event_id(), last);
    EXPECT_EQ(read_all().ids[id], up_to(last));
}

TEST_F(NamedTest, IsKnownWhenItsEventsAreGone) {
    for (const int signal : {SIGTERM, SIGKILL}) {
        std::uint64_t last = 0;
        {
            auto publisher = clerk();
            last = publisher.last_event_id() + 10;
            publish(publisher, last - 9, last);
        }
        const auto until = bus.topic("orders").head;
        {
            auto other = open(bus, "other");
            const std::string large(10'000, 'x');
            Sequence newest = 0;
            for (const Deadline end = patience; bus.topic("orders").first <= until;) {
                ASSERT_FALSE(end.passed());
                for (int i = 0; i < 20; ++i) newest = other.publish(large).sequence;
            }
            ASSERT_EQ(other.wait_durable(newest, patience), Durability::durable);
        }
        restart(signal);
        auto publisher = clerk();
        EXPECT_EQ(publisher.last_event_id(), last);
        EXPECT_EQ(publish(publisher, last), duplicate);
        EXPECT_FALSE(read_all().ids.contains(publisher.id())) << "all of them have expired";
    }
}

TEST_F(NamedTest, HasOneHolder) {
    {
        auto publisher = clerk();
        const auto busy = refusal([&] { (void)clerk(); });
        EXPECT_EQ(busy.code(), Errc::busy);
        EXPECT_THAT(busy.what(), HasSubstr("pid " + std::to_string(::getpid())));
        EXPECT_NO_THROW((void)open(bus, "another"));
    }
    EXPECT_NO_THROW((void)clerk());
}

TEST_F(NamedTest, MayBeTheOnlyPublisher) {
    {
        auto publisher = bus.publisher("orders", {.name = "clerk", .exclusive = true});
        publish(publisher, 1, 5);
        EXPECT_EQ(publish(publisher, 5), duplicate);
        EXPECT_EQ(refusal([&] { (void)open(bus, "another"); }).code(), Errc::busy);
    }
    auto publisher = clerk();
    EXPECT_EQ(publisher.last_event_id(), 5U);
}

TEST_F(NamedTest, IsOfATopicOnDisk) {
    bus.create_topic("fast", {.capacity = 64, .retention = Retention::memory});
    const auto error = refusal([&] { (void)bus.publisher("fast", {.name = "clerk"}); });
    EXPECT_EQ(error.code(), Errc::unsupported);
    EXPECT_THAT(error.what(), HasSubstr("--retention disk"));
    EXPECT_EQ(bus.topic("fast").publisher_count, 0U);
}

TEST_F(NamedTest, IsNamedAsTopicsAre) {
    for (const auto* name : {"-x", "a/b", "a b", "..", "\n"})
        EXPECT_EQ(refusal([&] { (void)open(bus, name); }).code(), Errc::bad_argument) << name;
    EXPECT_EQ(refusal([&] { (void)open(bus, std::string(129, 'x')); }).code(), Errc::bad_argument);
    const std::string longest(128, 'x');
    const auto id = open(bus, longest).id();
    auto dotted = open(bus, "a.5");
    publish(dotted, 1, 3);
    EXPECT_NE(open(bus, "a").id(), dotted.id());
    restart(SIGTERM);
    EXPECT_EQ(open(bus, longest).id(), id);
    EXPECT_EQ(open(bus, "a").last_event_id(), 0U);
}

} // namespace
} // namespace shmbus::test
