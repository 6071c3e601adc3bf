// What a member of a group sets aside: letters, whatever the event is, and whatever is in the way.
#include "client/letters.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <cstring>
#include <gmock/gmock.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
constexpr auto patience = 30s;

/// An event as it lies in front of a member.
class Original {
  public:
    Original() {
        place.sequence = 17;
        place.header.time_ns = 1'234'567'890;
        place.header.chunk = layout::no_chunk;
        place.header.type = 7;
        place.header.publisher = 3;
        place.header.event_id = 42;
        place.header.correlation = {1, 2, 3};
        place.header.flags = layout::flag_correlation;
        place.payload = as_bytes(payload_);
    }
    Original& key(std::string_view key) {
        place.header.flags |= layout::flag_key;
        writer_.key(key);
        return done();
    }
    Original& cause(std::string_view topic, Sequence s) {
        writer_.cause({s, topic});
        return done();
    }
    Original& parent() {
        writer_.parent({{9, 8, 7, 6, 5, 4, 3, 2}, 1});
        return done();
    }
    Original& header(std::string_view name, std::string_view value) {
        writer_.header({name, value});
        return done();
    }
    Original& payload(std::string bytes) {
        payload_ = std::move(bytes);
        place.payload = as_bytes(payload_);
        return *this;
    }
    Original& extension(std::string_view bytes) {
        place.extension = as_bytes(bytes);
        return *this;
    }
    ring::Place place;

  private:
    Original& done() {
        place.extension = {block_.data(), writer_.size()};
        return *this;
    }
    std::string payload_ = "payload";
    std::array<std::byte, layout::max_extension_bytes> block_{};
    layout::ExtensionWriter writer_{block_.data()};
};

class LettersTest : public testing::Test {
  protected:
    LettersTest() {
        set_log_handler([this](LogLevel level, std::string_view line) {
            if (level != LogLevel::info) log_.emplace_back(line);
        });
    }
    ~LettersTest() override { set_log_handler({}); }

    static TopicOptions in_memory() {
        return {.capacity = 64, .max_event = 65'536, .retention = Retention::memory};
    }
    bool write(client::Letters& letters, const Original& original,
               std::string_view reason = "no reason", std::uint32_t attempts = 5) {
        return letters.write(original.place, reason, attempts, patience);
    }
    client::Letters letters(std::string topic = "orders") {
        return {session, std::move(topic), "billing"};
    }
    /// The letter written last. Its event is in `received`.
    std::optional<DeadLetter> last(Received& received) {
        auto subscription = bus.subscribe("orders.dlq", {.start = Start::last(), .lossy = true});
        received = subscription.receive(patience);
        const auto* event = std::get_if<Event>(&received);
        return event == nullptr ? std::nullopt : read_dead_letter(*event);
    }
    /// "name=value" of those that are the original's.
    static std::vector<std::string> headers_of(const Event& event, const DeadLetter& letter) {
        std::vector<std::string> headers;
        for (std::size_t i = letter.first_header; const auto header = event.header(i); ++i)
            headers.push_back(std::string(header->name) + '=' + std::string(header->value));
        return headers;
    }
    std::vector<std::string> log_;
    TemporaryDirectory state;
    DaemonProcess daemon{{"--state-dir", state.path().string()}};
    Bus bus{BusOptions{.socket = daemon.socket()}};
    std::shared_ptr<control::Session> session =
        control::Session::connect(daemon.socket(), patience);
};

TEST_F(LettersTest, HasAllOfTheOriginal) {
    bus.create_topic("orders", in_memory());
    Original original;
    original.key("customer")
        .cause("clicks", 99)
        .parent()
        .header("a", "1")
        .header("b", "")
        .header("a", "2");
    auto of_orders = letters();
    ASSERT_TRUE(write(of_orders, original, "cannot be paid", 4));
    Received received = Nothing::closed;
    const auto letter = last(received);
    ASSERT_TRUE(letter);
    const auto& event = std::get<Event>(received);
    EXPECT_EQ(event.text(), "payload");
    EXPECT_EQ(event.key(), "customer");
    EXPECT_EQ(event.type(), 7U);
    EXPECT_EQ(event.id(), 42U);
    EXPECT_EQ(event.correlation().bytes, original.place.header.correlation);
    EXPECT_EQ(event.parent_id(), (std::array<std::uint8_t, 8>{9, 8, 7, 6, 5, 4, 3, 2}));
    EXPECT_EQ(event.trace_flags(), 1);
    EXPECT_EQ(letter->original, (Identity{"orders", 17}));
    EXPECT_EQ(letter->reason, "cannot be paid");
    EXPECT_EQ(letter->attempts, 4U);
    EXPECT_EQ(letter->subscription, "billing");
    EXPECT_EQ(letter->time.time_since_epoch(), 1'234'567'890ns);
    EXPECT_EQ(letter->publisher, 3U);
    EXPECT_EQ(letter->cause, (Identity{"clicks", 99}));
    EXPECT_EQ(letter->headers_dropped, 0U);
    EXPECT_THAT(headers_of(event, *letter), ElementsAre("a=1", "b=", "a=2"));
    EXPECT_THAT(log_, IsEmpty());
}

TEST_F(LettersTest, OfABareEventHasNothingMore) {
    bus.create_topic("orders", in_memory());
    auto of_orders = letters();
    ASSERT_TRUE(write(of_orders, Original().payload("")));
    Received received = Nothing::closed;
    const auto letter = last(received);
    ASSERT_TRUE(letter);
    const auto& event = std::get<Event>(received);
    EXPECT_TRUE(event.payload().empty());
    EXPECT_TRUE(event.key().empty());
    EXPECT_FALSE(letter->cause);
    EXPECT_THAT(headers_of(event, *letter), IsEmpty());
}

TEST_F(LettersTest, TopicIsMadeAsTheOriginals) {
    bus.create_topic("orders",
                     {.max_event = 300'000, .pool_bytes = 1 << 20, .keep_age_ms = 77'000});
    auto of_orders = letters();
    ASSERT_TRUE(write(of_orders, Original().payload(std::string(300'000, 'x'))));
    const auto on_disk = bus.topic("orders.dlq").options;
    EXPECT_EQ(on_disk.retention, Retention::disk);
    EXPECT_EQ(on_disk.full, FullPolicy::block);
    EXPECT_EQ(on_disk.keep_age_ms, 77'000U);
    EXPECT_EQ(on_disk.capacity, 1'024U);
    EXPECT_EQ(on_disk.max_event, 300'000U);
    bus.create_topic("trades", in_memory());
    auto of_trades = letters("trades");
    ASSERT_TRUE(write(of_trades, Original().payload(std::string(65'536, 'x'))));
    EXPECT_EQ(bus.topic("trades.dlq").options.retention, Retention::memory);
    EXPECT_EQ(bus.topic("trades.dlq").options.full, FullPolicy::reject);
}

TEST_F(LettersTest, EveryTopicMayHaveOne) {
    for (const std::uint64_t max_event :
         {std::uint64_t{1}, std::uint64_t{64}, std::uint64_t{1} << 30U})
        for (const std::uint64_t pool :
             {std::uint64_t{0}, std::uint64_t{1} << 31U, std::uint64_t{1} << 36U}) {
            TopicOptions options{.max_event = max_event, .pool_bytes = pool};
            const auto made = client::options_of_letters(options);
            const layout::RingParameters parameters{.capacity = made.capacity,
                                                    .slot_bytes = made.slot_bytes,
                                                    .max_event = made.max_event,
                                                    .pool_bytes = made.pool_bytes,
                                                    .first_sequence = 1,
                                                    .max_publishers = 256,
                                                    .max_readers = 256,
                                                    .evict_after_ms = made.evict_after_ms,
                                                    .hold_timeout_ms = made.hold_timeout_ms,
                                                    .full_policy = 0,
                                                    .gate = 0,
                                                    .reserved = {}};
            EXPECT_EQ(layout::problem_with(parameters), "") << max_event << ' ' << pool;
        }
}

TEST_F(LettersTest, ATopicThatIsThereIsUsedAsItIs) {
    bus.create_topic("orders", in_memory());
    bus.create_topic("orders.dlq", {.capacity = 4,
                                    .slot_bytes = 512,
                                    .max_event = 100,
                                    .pool_bytes = 0,
                                    .retention = Retention::memory});
    auto of_orders = letters();
    EXPECT_TRUE(write(of_orders, Original()));
    EXPECT_FALSE(write(of_orders, Original().payload(std::string(101, 'x'))));
    ASSERT_THAT(log_, ElementsAre(HasSubstr(
                          "group billing cannot set event 17 aside in topic orders.dlq")));
    EXPECT_THAT(log_[0], HasSubstr("too_large"));
    EXPECT_EQ(bus.topic("orders.dlq").options.capacity, 4U);
}

TEST_F(LettersTest, OfLettersGoToATopicOfTheirOwn) {
    bus.create_topic("orders.dlq", in_memory());
    auto of_letters = letters("orders.dlq");
    EXPECT_TRUE(write(of_letters, Original()));
    EXPECT_EQ(bus.topic("orders.dlq.dlq").head, 1U);
}

TEST_F(LettersTest, HeadersThatDoNotFitAreCounted) {
    bus.create_topic("orders", in_memory());
    Original original; // 3,939 bytes of headers, with 6 for each
    original.header("first", std::string(100, 'x')).header("large", std::string(3'700, 'y'));
    original.header("small", "z").header("", std::string(94, 'x'));
    auto of_orders = letters();
    ASSERT_TRUE(write(of_orders, original, std::string(600, 'r')));
    Received received = Nothing::closed;
    const auto letter = last(received);
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter->reason, std::string(max_reason_bytes, 'r'));
    EXPECT_EQ(letter->headers_dropped, 1U);
    EXPECT_THAT(
        headers_of(std::get<Event>(received), *letter),
        ElementsAre("first=" + std::string(100, 'x'), "small=z", "=" + std::string(94, 'x')));
}

// The original's are what follows, whatever they are called.
TEST_F(LettersTest, OriginalsHeadersMayBeCalledAsTheBusesOwn) {
    bus.create_topic("orders", in_memory());
    Original original;
    original.header("shmbus-reason", "mine")
        .header("shmbus-cause", "a:1")
        .header("shmbus-publisher", "x");
    auto of_orders = letters();
    ASSERT_TRUE(write(of_orders, original, "why"));
    Received received = Nothing::closed;
    const auto letter = last(received);
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter->reason, "why");
    EXPECT_FALSE(letter->cause);
    EXPECT_THAT(headers_of(std::get<Event>(received), *letter),
                ElementsAre("shmbus-reason=mine", "shmbus-cause=a:1", "shmbus-publisher=x"));
}

TEST_F(LettersTest, AReasonIsCutBetweenCharacters) {
    bus.create_topic("orders", in_memory());
    auto of_orders = letters();
    Received received = Nothing::closed;
    const std::string almost(max_reason_bytes - 2, 'r');
    ASSERT_TRUE(write(of_orders, Original(), almost + "\u20ac and more")); // 3 bytes
    EXPECT_EQ(last(received)->reason, almost);
    ASSERT_TRUE(write(of_orders, Original(), std::string(600, '\x80')));
    EXPECT_EQ(last(received)->reason, std::string(max_reason_bytes, '\x80')) << "no text at all";
    ASSERT_TRUE(write(of_orders, Original(), ""));
    EXPECT_EQ(last(received)->reason, "");
}

// Whoever may publish to a topic may have put anything into its ring.
TEST_F(LettersTest, AnOriginalMayBeAnything) {
    bus.create_topic("orders", in_memory());
    auto of_orders = letters();
    Received received = Nothing::closed;
    EXPECT_TRUE(write(of_orders, Original().cause("../etc/passwd", 1)));
    ASSERT_TRUE(last(received));
    EXPECT_FALSE(last(received)->cause);
    EXPECT_TRUE(write(of_orders, Original().extension(std::string(65'535, '\xff'))));
    EXPECT_TRUE(last(received));
    // 65,532 bytes of headers without a name or a value, of which what could be an event's is looked at.
    std::string headers;
    for (int i = 0; i < 10'922; ++i) headers += std::string("\x04\0\x02\0\0\0", 6);
    EXPECT_TRUE(write(of_orders, Original().extension(headers)));
    ASSERT_TRUE(last(received));
    EXPECT_GT(last(received)->headers_dropped, 50U);
    Original keyed;
    keyed.place.header.flags |= layout::flag_key; // and has none
    EXPECT_TRUE(write(of_orders, keyed));
    EXPECT_TRUE(last(received));
    EXPECT_THAT(log_, IsEmpty());
}

TEST_F(LettersTest, ANameThatHasNoRoomIsRefused) {
    const std::string longest(124, 't');
    for (const auto& topic : {longest, longest + "t"}) {
        bus.create_topic(topic, in_memory());
        auto of_topic = letters(topic);
        EXPECT_EQ(write(of_topic, Original()), topic == longest);
        EXPECT_EQ(write(of_topic, Original()), topic == longest);
    }
    EXPECT_THAT(log_, ElementsAre(HasSubstr("name is too long")));
}

TEST_F(LettersTest, WhatKeepsThemAwayIsLoggedOnceUntilItIsOver) {
    bus.create_topic("orders", in_memory());
    auto of_orders = letters();
    ASSERT_TRUE(write(of_orders, Original()));
    auto reader = bus.subscribe("orders.dlq", {.start = Start::all(), .auto_acknowledge = false});
    while (write(of_orders, Original())) {
    }
    EXPECT_EQ(bus.topic("orders.dlq").head, 1'024U)
        << "the ring of what a reader has not read is full";
    EXPECT_FALSE(write(of_orders, Original()));
    EXPECT_THAT(log_, ElementsAre(HasSubstr("full")));
    reader.acknowledge(1);
    auto received = reader.receive(patience);
    reader.acknowledge(1);
    EXPECT_TRUE(write(of_orders, Original()));
    EXPECT_FALSE(write(of_orders, Original()));
    EXPECT_THAT(log_, ElementsAre(HasSubstr("full"), HasSubstr("full")));
}

TEST_F(LettersTest, ATopicThatWasRemovedIsMadeAnew) {
    bus.create_topic("orders", in_memory());
    auto of_orders = letters();
    ASSERT_TRUE(write(of_orders, Original()));
    bus.remove_topic("orders.dlq", true);
    ASSERT_TRUE(write(of_orders, Original()));
    EXPECT_EQ(bus.topic("orders.dlq").head, 1U);
    bus.remove_topic("orders.dlq", true);
    bus.remove_topic("orders");
    EXPECT_FALSE(write(of_orders, Original()));
    EXPECT_THAT(log_, ElementsAre(HasSubstr("orders")));
}

TEST_F(LettersTest, NeitherAStoppedNorADeadDaemonIsWaitedForForLong) {
    bus.create_topic("orders", in_memory());
    auto of_orders = letters();
    daemon.kill(SIGSTOP);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(write(of_orders, Original()));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
    EXPECT_THAT(log_, ElementsAre(HasSubstr("did not answer in time")));
    daemon.kill(SIGCONT);
    EXPECT_TRUE(write(of_orders, Original()));
    daemon.kill(SIGKILL);
    daemon.wait();
    EXPECT_TRUE(write(of_orders, Original())) << "into the ring, which is there";
    log_.clear();
    auto others = letters("others");
    EXPECT_FALSE(write(others, Original()));
    EXPECT_THAT(log_.back(), HasSubstr("others.dlq"));
}

} // namespace
} // namespace shmbus::test
