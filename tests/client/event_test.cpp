// What is left of an event once it was released, moved, or never was one.
#include "client/fixture.hpp"

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;

using EventTest = ClientTest;

void expect_nothing_in(const Event& event) {
    EXPECT_TRUE(event.empty());
    EXPECT_TRUE(event.payload().empty());
    EXPECT_TRUE(event.key().empty());
    EXPECT_TRUE(event.correlation().empty());
    EXPECT_FALSE(event.cause());
    EXPECT_FALSE(event.header(0));
    EXPECT_FALSE(event.in_place());
    EXPECT_EQ(event.type() + event.publisher() + event.id() + event.trace_flags(), 0U);
    EXPECT_EQ(event.parent_id(), (std::array<std::uint8_t, 8>{}));
    EXPECT_EQ(event.time().time_since_epoch(), 0ns);
}

TEST_F(EventTest, ReleasedCanStillBeAcknowledged) {
    auto publisher = bus.publisher("orders");
    auto subscription = bus.subscribe("orders", {.start = Start::all(), .auto_acknowledge = false});
    ASSERT_TRUE(publisher.publish("x", {.key = "k", .type = 1, .id = 2}));
    ASSERT_TRUE(publisher.publish(std::string(5'000, 'y'), {.key = "k"})); // in a chunk
    for (Sequence s = 1; s <= 2; ++s) {
        auto received = subscription.receive(30s);
        auto& event = std::get<Event>(received);
        EXPECT_EQ(event.release(), Released::intact);
        EXPECT_EQ(event.sequence(), s);
        expect_nothing_in(event);
        EXPECT_EQ(event.release(), Released::intact) << "again, which is nothing";
        subscription.acknowledge(event);
        EXPECT_EQ(subscription.cursor(), s);
    }
}

TEST_F(EventTest, OfATextMayHaveAttributesAndADeadline) {
    auto publisher = bus.publisher("orders");
    auto subscription = bus.subscribe("orders", {.start = Start::all(), .auto_acknowledge = false});
    for (std::size_t n = 0; n < 64; ++n)
        ASSERT_TRUE(publisher.publish("x", {.key = "k", .type = 7}, Deadline::now()));
    EXPECT_EQ(publisher.publish(std::string("too much"), {}, 10ms).outcome,
              PublishOutcome::timed_out);
    auto received = subscription.receive(30s);
    const auto& event = std::get<Event>(received);
    EXPECT_EQ(event.text(), "x");
    EXPECT_EQ(event.key(), "k");
    EXPECT_EQ(event.type(), 7U);
}

TEST_F(EventTest, ThatNeverWasIsEmpty) {
    const Event event;
    EXPECT_EQ(event.sequence(), 0U);
    expect_nothing_in(event);
}

TEST_F(EventTest, MovesWithAllItHas) {
    auto publisher = bus.publisher("orders");
    auto subscription = subscribe();
    ASSERT_TRUE(publisher.publish("x"));
    auto received = subscription.receive(30s);
    Event& from = std::get<Event>(received);
    const Event to = std::move(from);
    EXPECT_EQ(to.sequence(), 1U);
    EXPECT_EQ(to.text(), "x");
    EXPECT_EQ(from.sequence(), 0U); // NOLINT(bugprone-use-after-move): that is the question
    expect_nothing_in(from);
}

TEST_F(EventTest, ARequestNeedsTimeToBeAnswered) {
    try {
        const Bus hasty(BusOptions{.socket = daemon.socket(), .request_timeout = 0s});
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::bad_argument);
    }
}

} // namespace
} // namespace shmbus::test
