// Several events at once, on both sides.
#include "client/fixture.hpp"

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class BatchTest : public ClientTest, public testing::WithParamInterface<bool> {
  protected:
    Publisher publisher = bus.publisher("orders", {.exclusive = GetParam()});
    Subscription subscription = subscribe();
    /// What one batch of at most `most` has.
    std::vector<std::string> receive(std::size_t most) {
        std::vector<Event> events(most);
        const auto received = subscription.receive(events, 30s);
        if (const auto* nothing = std::get_if<Nothing>(&received)) return {name_of(*nothing)};
        if (const auto* gap = std::get_if<Gap>(&received)) return {text_of(Received(*gap))};
        std::vector<std::string> texts;
        for (std::size_t i = 0; i < std::get<std::size_t>(received); ++i)
            texts.push_back(text_of(events[i]));
        return texts;
    }
};
INSTANTIATE_TEST_SUITE_P(Publisher, BatchTest, testing::Bool(),
                         [](const auto& of) { return of.param ? "exclusive" : "shared"; });

TEST_P(BatchTest, GoesOutAndComesInInOrder) {
    const std::string large(5'000, 'x');
    const std::vector<Outgoing> events{{as_bytes("a")},
                                       {as_bytes("b"), {.key = "with a key"}},
                                       {as_bytes(large)},
                                       {as_bytes("d"), {.type = 7}}};
    const auto result = publisher.publish(events);
    ASSERT_TRUE(result) << name_of(result.outcome);
    EXPECT_EQ(result.published, 4U);
    EXPECT_EQ(result.last, 4U);
    EXPECT_THAT(receive(3), ElementsAre("1 a", "2 b", "3 " + large));
    std::vector<Event> rest(3);
    EXPECT_EQ(std::get<std::size_t>(subscription.receive(rest, 30s)), 1U);
    EXPECT_EQ(rest[0].type(), 7U);
}

TEST_P(BatchTest, StopsAtTheFirstThatCannotGo) {
    const std::string too_large(70'000, 'x');
    const std::vector<Outgoing> events{{as_bytes("a")}, {as_bytes(too_large)}, {as_bytes("c")}};
    const auto result = publisher.publish(events);
    EXPECT_EQ(result.outcome, PublishOutcome::too_large);
    EXPECT_EQ(result.published, 1U);
    EXPECT_EQ(result.last, 1U);
    EXPECT_THAT(receive(3), ElementsAre("1 a"));
}

TEST_P(BatchTest, OfMoreThanTheRingHoldsWaitsForRoom) {
    const std::vector<Outgoing> events(100, {as_bytes("x")});
    const auto result = publisher.publish(events, 10ms);
    EXPECT_EQ(result.outcome, PublishOutcome::timed_out);
    EXPECT_EQ(result.published, 64U);
    EXPECT_EQ(receive(100).size(), 64U) << "as many as may be held at a time";
}

TEST_P(BatchTest, IsAcknowledgedByTheNextCall) {
    const std::vector<Outgoing> events(10, {as_bytes("x")});
    ASSERT_TRUE(publisher.publish(events));
    std::vector<Event> batch(10);
    EXPECT_EQ(std::get<std::size_t>(subscription.receive(batch, 30s)), 10U);
    EXPECT_EQ(subscription.cursor(), 0U);
    EXPECT_EQ(std::get<Nothing>(subscription.receive(batch, Deadline::now())), Nothing::timed_out);
    EXPECT_EQ(subscription.cursor(), 10U);
    EXPECT_TRUE(batch[0].empty()) << "what the span held is released first";
}

TEST_P(BatchTest, EndsBeforeAGapWhichComesNext) {
    auto lossy = bus.subscribe("orders", {.start = Start::all(), .lossy = true});
    ASSERT_TRUE(publisher.publish(std::vector<Outgoing>(10, {as_bytes("x")})));
    std::vector<Event> batch(4);
    EXPECT_EQ(std::get<std::size_t>(lossy.receive(batch, 30s)), 4U);
    // The ring goes round; the events that lie behind the gap are there at once.
    for (int i = 0; i < 64; ++i) {
        ASSERT_TRUE(publisher.publish("y"));
        (void)receive(64);
    }
    const auto next = lossy.receive(batch, 30s);
    const auto* gap = std::get_if<Gap>(&next);
    ASSERT_NE(gap, nullptr);
    EXPECT_EQ(gap->first, 5U);
    EXPECT_EQ(lossy.position(), gap->last + 1);
    EXPECT_EQ(std::get<std::size_t>(lossy.receive(batch, 30s)), 4U);
    EXPECT_EQ(batch[0].sequence(), gap->last + 1);
}

TEST_P(BatchTest, OfNothingIsNothing) {
    const auto result = publisher.publish(std::span<const Outgoing>());
    EXPECT_TRUE(result);
    EXPECT_EQ(result.published, 0U);
    EXPECT_EQ(std::get<std::size_t>(subscription.receive(std::span<Event>(), 30s)), 0U);
}

} // namespace
} // namespace shmbus::test
