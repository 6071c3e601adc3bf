// Readers of dead letters, and of what became of them: whoever may publish to a topic may have published anything.
#include "client/fixture.hpp"

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;

class DeadLetterTest : public ClientTest {
  protected:
    /// The event that is published with these attributes, as a subscriber sees it.
    Event publish(const Attributes& attributes) {
        EXPECT_TRUE(publisher.publish("x", attributes));
        auto received = subscription.receive(30s);
        return std::move(std::get<Event>(received));
    }
    std::optional<DeadLetter> read(const Attributes& attributes) {
        return read_dead_letter(publish(attributes));
    }
    Publisher publisher = bus.publisher("orders");
    Subscription subscription = subscribe();
};

TEST_F(DeadLetterTest, WhatIsNotCompleteIsNone) {
    const std::vector<Header> whole{{header_reason, "r"},
                                    {header_attempts, "5"},
                                    {header_subscription, "billing"},
                                    {header_time, "1"},
                                    {header_publisher, "2"}};
    const Cause cause{"orders", 1};
    EXPECT_TRUE(read({.cause = cause, .headers = whole}));
    EXPECT_FALSE(read({}));
    EXPECT_FALSE(read({.headers = whole})) << "no original";
    EXPECT_FALSE(read({.cause = Cause{"orders", 0}, .headers = whole}));
    EXPECT_FALSE(read({.cause = Cause{"orders", ~Sequence{0}}, .headers = whole}));
    for (std::size_t i = 0; i < whole.size(); ++i) {
        auto without = whole;
        without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_FALSE(read({.cause = cause, .headers = without})) << whole[i].name;
    }
    const std::vector<std::pair<std::size_t, std::string>> wrong{{0, std::string(513, 'r')},
                                                                 {1, ""},
                                                                 {1, "-1"},
                                                                 {1, "4294967296"},
                                                                 {1, "5 "},
                                                                 {2, ""},
                                                                 {2, "a/b"},
                                                                 {3, "x"},
                                                                 {3, "18446744073709551616"},
                                                                 {4, "1x"}};
    for (const auto& [at, value] : wrong) {
        auto with = whole;
        with[at].value = value;
        EXPECT_FALSE(read({.cause = cause, .headers = with})) << whole[at].name << ' ' << value;
    }
    auto reordered = whole;
    std::swap(reordered[0], reordered[1]);
    EXPECT_FALSE(read({.cause = cause, .headers = reordered}));
    EXPECT_FALSE(read_dead_letter(Event()));
}

TEST_F(DeadLetterTest, WhatBecameOfThemIsRead) {
    const auto settled = [&](const std::string& value, const std::optional<Cause>& cause) {
        const Header header{header_settled, value};
        const auto event = publish({.cause = cause, .headers = {&header, 1}});
        EXPECT_FALSE(read_dead_letter(event));
        return read_settled_letter(event);
    };
    const Cause letter{"orders.dlq", 3};
    const auto replayed = settled("replayed:71", letter);
    ASSERT_TRUE(replayed);
    EXPECT_EQ(replayed->letter, (Identity{"orders.dlq", 3}));
    EXPECT_EQ(replayed->replayed_as, 71U);
    const auto discarded = settled("discarded", letter);
    ASSERT_TRUE(discarded);
    EXPECT_FALSE(discarded->replayed_as);
    for (const auto* value :
         {"", "replayed", "replayed:", "replayed:0", "replayed:x", "discarded "})
        EXPECT_FALSE(settled(value, letter)) << value;
    EXPECT_FALSE(settled("discarded", {}));
    EXPECT_FALSE(read_settled_letter(Event()));
}

TEST_F(DeadLetterTest, AReplayIsTheOriginalAgain) {
    const auto identity = [&](const std::vector<Header>& headers) {
        return identity_of(publish({.headers = headers}));
    };
    EXPECT_EQ(identity({}), (Identity{"orders", 1}));
    EXPECT_EQ(identity({{"a", "b"}, {header_replay_of, "orders:1"}}), (Identity{"orders", 1}));
    EXPECT_EQ(identity({{header_replay_of, "trades:1"}}), (Identity{"orders", 3}))
        << "handed on from there";
    EXPECT_EQ(identity({{header_replay_of, "trades:1"}, {header_replay_of, "orders:2"}}),
              (Identity{"orders", 2}));
    for (const auto* wrong : {"", ":", "orders", "orders:", "orders:x", "orders:0",
                              "orders:18446744073709551615", "orders:1 ", ":1"}) {
        const Header header{header_replay_of, wrong};
        const auto event = publish({.headers = {&header, 1}});
        EXPECT_EQ(identity_of(event), (Identity{"orders", event.sequence()})) << wrong;
    }
    EXPECT_EQ(identity_of(Event()), Identity());
}

} // namespace
} // namespace shmbus::test
