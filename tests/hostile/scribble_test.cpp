// Proves what a process can and cannot break that scribbles over shared memory it may write: a
// subscriber over its topic's readers object and the page of its own cursor, a publisher over the
// whole ring; and one that keeps every event that it gets.
//
//   * The daemon lives and answers; another topic loses nothing.
//   * The topic's other subscribers, old and new, read on and do not crash, whatever they get: all
//     they touch is what they were given. Publishers of a scribbled readers object do not crash.
//   * No other durable subscription's cursor moves by what a subscriber does, held or not.
//   * When the scribbler is dead, the topic works again (readers object), or can at least be
//     removed with force and made again (ring).
//
// Each round has a seed of its own. More and longer rounds with --long.
#include "base/clock.hpp"
#include "process/child.hpp"
#include "process/inside.hpp"
#include "process/load.hpp"
#include "process/shared_array.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <iostream>

namespace shmbus::test {

namespace {

enum Counter : std::size_t { stop, events, gaps, corrupt, published, refused, counters_size };

/// Bits that could be anything: noise, a number that is special, what was there with one bit
/// turned, or what is written elsewhere in the object.
std::uint64_t something(Random& random, std::span<std::uint64_t> words, std::size_t at) {
    static constexpr std::uint64_t special[] = {
        0, 1, 0xffff'ffff, 1ULL << 31U, 1ULL << 48U, (1ULL << 48U) - 1, 1ULL << 63U, ~0ULL};
    switch (random.below(4)) {
    case 0: return random();
    case 1: return special[random.below(std::size(special))];
    case 2: return words[at] ^ 1ULL << random.below(64);
    default: return words[random.below(words.size())];
    }
}

[[noreturn]] void scribble(const std::vector<std::span<std::byte>>& objects, std::uint64_t seed) {
    Random random(seed);
    say("scribbles");
    for (;;) {
        const auto bytes = objects[random.below(objects.size())];
        const std::span words(reinterpret_cast<std::uint64_t*>(bytes.data()), bytes.size() / 8);
        // The heads of the objects more often than chance would have it.
        const std::size_t head = std::min(words.size(), std::size_t{8'192 / 8});
        const std::size_t at = random.below(random.below(4) == 0 ? head : words.size());
        reinterpret_cast<base::Word64&>(words[at]).store_relaxed(something(random, words, at));
    }
}

/// scribble_readers SOCKET SEED
SHMBUS_WORKER(scribble_readers) {
    Bus bus({.socket = args.text(0)});
    const auto subscription = bus.subscribe("victim", {.name = "own"});
    const auto topic = subscriber_view(bus, "victim");
    auto* begin = reinterpret_cast<std::byte*>(&topic.readers.header());
    scribble({{begin, layout::readers_geometry_of(topic.ring.parameters()).total_bytes},
              cursor_page(bus, "victim")},
             args.number(1));
}

/// scribble_ring SOCKET SEED
SHMBUS_WORKER(scribble_ring) {
    Bus bus({.socket = args.text(0)});
    const auto publisher = bus.publisher("victim");
    const auto topic = publisher_view(bus, "victim");
    auto* begin = reinterpret_cast<std::byte*>(&topic.ring.header());
    scribble({{begin, topic.ring.geometry().slots_end}}, args.number(1));
}

/// hoard SOCKET: keeps whatever it gets.
SHMBUS_WORKER(hoard) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("victim"); // publishers wait for it, until it is evicted
    std::vector<Event> kept(64);                 // as many as there may be
    say("waits");
    for (auto& event : kept) {
        auto received = subscription.receive(patience);
        while (!std::holds_alternative<Event>(received)) received = subscription.receive(patience);
        event = std::move(std::get<Event>(received));
    }
    say("keeps");
    for (;;) ::pause();
}

/// Touches every byte and every attribute.
std::uint64_t touch(const Event& event) {
    std::uint64_t sum = XXH3_64bits(event.payload().data(), event.payload().size());
    sum += event.key().size() + event.type() + event.id() + event.publisher();
    if (const auto cause = event.cause()) sum += cause->sequence + cause->topic.size();
    for (std::size_t i = 0; const auto header = event.header(i); ++i)
        sum += XXH3_64bits(header->value.data(), header->value.size());
    return sum + event.parent_id()[0] + event.correlation().bytes[0];
}

/// read SOCKET [3: counters]: subscribes again and again, one after the other, until told to stop.
SHMBUS_WORKER(read) {
    Bus bus({.socket = args.text(0)});
    const auto counters = SharedCounters::inherited(3);
    say("ready");
    std::uint64_t sum = 0;
    for (unsigned i = 0; counters[stop] == 0; ++i) {
        try {
            const Start starts[] = {Start::all(), Start::latest(), Start::last(),
                                    Start::time(Start::Time{})};
            auto subscription = bus.subscribe("victim", {.start = starts[i % std::size(starts)]});
            for (unsigned n = 0; n < 1'000 && counters[stop] == 0; ++n) {
                auto received = subscription.receive(std::chrono::milliseconds(5));
                if (const auto* event = std::get_if<Event>(&received)) {
                    sum += touch(*event);
                    ++counters[events];
                } else if (const auto* gap = std::get_if<Gap>(&received)) {
                    ++counters[gap->reason == GapReason::corrupt ? corrupt : gaps];
                }
            }
        } catch (const Error&) { // what it was given to map is damaged already
            ++counters[refused];
        }
    }
    say("end " + std::to_string(sum));
    return 0;
}

/// write SOCKET [3: counters]: publishes until told to stop.
SHMBUS_WORKER(write) {
    Bus bus({.socket = args.text(0)});
    const auto counters = SharedCounters::inherited(3);
    auto publisher = bus.publisher("victim", {.timeout = std::chrono::milliseconds(100)});
    const std::string payload(6'000, 'w');
    const Header headers[] = {{"name", "value"}};
    say("ready");
    for (std::uint64_t i = 0; counters[stop] == 0; ++i) {
        const auto size = i % 3 == 0 ? payload.size() : i % 60;
        const auto result = publisher.publish(as_bytes(std::string_view(payload).substr(0, size)),
                                              {.key = "key", .headers = headers});
        if (result) ++counters[published];
    }
    say("end");
    return 0;
}

class Scribble : public ::testing::Test {
  protected:
    static constexpr unsigned readers = 2;
    static constexpr unsigned writers = 2;

    static constexpr TopicOptions options{.capacity = 64,
                                          .slot_bytes = 256,
                                          .max_event = 16'384,
                                          .pool_bytes = 1U << 20U,
                                          .evict_after_ms = 200,
                                          .hold_timeout_ms = 200,
                                          .retention = Retention::memory};

    void start(const char* scribbler) {
        bus_.create_topic("victim", options);
        begin_durable();
        for (unsigned i = 0; i < readers; ++i)
            readers_.push_back(Child::worker("read", {daemon_.socket()}, {counters_.fd()}));
        for (unsigned i = 0; i < writers; ++i)
            writers_.push_back(Child::worker("write", {daemon_.socket()}, {counters_.fd()}));
        for (auto& reader : readers_) ASSERT_EQ(reader.hear(), "ready");
        for (auto& writer : writers_) ASSERT_EQ(writer.hear(), "ready");
        scribbler_.emplace(
            Child::worker(scribbler, {daemon_.socket(), std::to_string(seed() + round_++)}));
        ASSERT_EQ(scribbler_->hear(), "scribbles");
    }
    /// Two that have come to event 2, and stay there: one is held, one is not.
    void begin_durable() {
        auto publisher = bus_.publisher("victim");
        for (int i = 0; i < 3; ++i) ASSERT_TRUE(publisher.publish(as_bytes("x")));
        for (const auto* name : {"left", "held"}) {
            kept_.emplace(
                bus_.subscribe("victim", {.start = Start::all(), .name = name, .lossy = true}));
            for (int i = 0; i < 2; ++i) {
                auto received = kept_->receive(patience);
                ASSERT_TRUE(std::holds_alternative<Event>(received));
                kept_->acknowledge(std::get<Event>(received));
            }
        }
    }
    void expect_durable_are_where_they_were() {
        std::map<std::string, std::optional<Sequence>> cursors;
        for (const auto& one : bus_.subscriptions("victim")) cursors[one.name] = one.cursor;
        EXPECT_EQ(cursors.at("held"), Sequence{2});
        EXPECT_EQ(cursors.at("left"), Sequence{2});
        kept_.reset();
    }
    /// What must go on, as long as it is scribbled.
    void check_the_rest() {
        auto publisher = bus_.publisher("other");
        auto subscription = bus_.subscribe("other");
        Checker checker;
        Load load(seed());
        const auto until = base::monotonic_ns() + (long_form() ? 1'000'000'000 : 300'000'000);
        while (base::monotonic_ns() < until) {
            for (int i = 0; i < 20; ++i) {
                const auto item = load.next();
                ASSERT_TRUE(publisher.publish(
                    item.payload,
                    {.key = {}, .id = item.id, .correlation = seal(item.payload, item.id)}));
                auto received = subscription.receive(patience);
                ASSERT_TRUE(std::holds_alternative<Event>(received));
                ASSERT_TRUE(checker.check(std::get<Event>(received)));
            }
            EXPECT_EQ(bus_.topics().size(), 2U);
            EXPECT_EQ(bus_.topic("victim").name, "victim");
        }
        EXPECT_EQ(checker.missing(), 0U);
    }
    void kill_scribbler() {
        scribbler_->kill(SIGKILL);
        EXPECT_EQ(scribbler_->wait(), -SIGKILL);
        scribbler_.reset();
        const Deadline deadline = patience; // until the daemon knows
        while (bus_.topic("victim").publisher_count > writers ||
               bus_.topic("victim").subscriber_count > readers)
            ASSERT_FALSE(deadline.passed()) << "the scribbler's entry stays taken";
    }
    void stop_all() {
        counters_[stop] = 1;
        for (auto* children : {&readers_, &writers_})
            for (auto& child : *children) {
                EXPECT_TRUE(child.hear().starts_with("end"));
                EXPECT_EQ(child.wait(), 0);
            }
        readers_.clear();
        writers_.clear();
    }
    /// Nothing that is checked when a topic is opened stays damaged. The daemon may still be at it.
    void expect_can_be_opened() {
        for (const Deadline deadline = patience;;) {
            try {
                (void)bus_.subscribe("victim");
                (void)bus_.publisher("victim");
                return;
            } catch (const Error& error) {
                ASSERT_EQ(error.code(), Errc::damaged) << error.what();
                ASSERT_FALSE(deadline.passed()) << error.what();
            }
        }
    }
    /// The same name again: events go through, in order.
    void expect_works_anew() {
        bus_.create_topic("victim", {.capacity = 64, .retention = Retention::memory});
        auto publisher = bus_.publisher("victim", {.timeout = patience});
        auto subscription = bus_.subscribe("victim");
        for (std::uint64_t id = 1; id <= 1'000; ++id) {
            const std::string payload(id % 2 == 0 ? 20 : 8'000, 'x');
            ASSERT_TRUE(publisher.publish(as_bytes(payload), {.key = {}, .id = id}));
            auto received = subscription.receive(patience);
            ASSERT_TRUE(std::holds_alternative<Event>(received));
            EXPECT_EQ(std::get<Event>(received).id(), id);
        }
        bus_.remove_topic("victim", true);
    }
    void report(const char* what) {
        std::cout << what << ": " << counters_[events] << " events, " << counters_[gaps]
                  << " gaps, " << counters_[corrupt] << " corrupt, " << counters_[refused]
                  << " refused, " << counters_[published] << " published\n";
        EXPECT_GT(counters_[events], 0U);
        for (std::size_t i = 0; i < counters_size; ++i) counters_[i] = 0;
    }

    DaemonProcess daemon_;
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    SharedCounters counters_{counters_size};
    std::vector<Child> readers_;
    std::vector<Child> writers_;
    std::optional<Child> scribbler_;
    std::optional<Subscription> kept_;
    std::uint64_t round_ = 0;
    const int rounds_ = long_form() ? 30 : 5;
};

TEST_F(Scribble, OverTheReadersObject) {
    bus_.create_topic("other", {.retention = Retention::memory});
    for (int i = 0; i < rounds_ && !HasFailure(); ++i) {
        start("scribble_readers");
        check_the_rest();
        kill_scribbler();
        const std::uint64_t before = counters_[published];
        const Deadline deadline = patience;
        while (counters_[published] < before + 100)
            ASSERT_FALSE(deadline.passed()) << "publishers do not get on";
        expect_can_be_opened();
        expect_durable_are_where_they_were();
        stop_all();
        bus_.remove_topic("victim", true);
        report("readers object");
        expect_works_anew();
    }
    EXPECT_TRUE(daemon_.process().is_running());
}

/// Who keeps events has them until others need their room, and the hold timeout is over.
TEST_F(Scribble, WhoKeepsAllEventsHoldsNobodyUp) {
    bus_.create_topic("victim", options);
    auto hoarder = Child::worker("hoard", {daemon_.socket()});
    ASSERT_EQ(hoarder.hear(), "waits");
    auto publisher = bus_.publisher("victim", {.timeout = patience});
    auto subscription = bus_.subscribe("victim");
    Checker checker;
    Random random(seed());
    for (std::uint64_t id = 1; id <= 2'000; ++id) {
        const std::string payload(4'096 + random.below(12'000), 'x');
        const auto bytes = as_bytes(payload);
        ASSERT_TRUE(
            publisher.publish(bytes, {.key = {}, .id = id, .correlation = seal(bytes, id)}));
        auto received = subscription.receive(patience);
        ASSERT_TRUE(std::holds_alternative<Event>(received));
        ASSERT_TRUE(checker.check(std::get<Event>(received))) << id;
        subscription.acknowledge(std::get<Event>(received));
        if (id != 100) continue;
        ASSERT_EQ(hoarder.hear(), "keeps");
    }
    EXPECT_EQ(checker.missing(), 0U);
    hoarder.kill(SIGKILL);
    EXPECT_EQ(hoarder.wait(), -SIGKILL) << "it was there all the time";
}

TEST_F(Scribble, OverTheRing) {
    bus_.create_topic("other", {.retention = Retention::memory});
    for (int i = 0; i < rounds_ && !HasFailure(); ++i) {
        start("scribble_ring");
        check_the_rest();
        kill_scribbler();
        kept_.reset();
        bus_.remove_topic("victim", true); // with it, publishers that go round in circles stop
        stop_all();
        report("ring");
        expect_works_anew();
    }
    EXPECT_TRUE(daemon_.process().is_running());
}

} // namespace

} // namespace shmbus::test
