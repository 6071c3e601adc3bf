// Cap'n Proto messages, built in a loan and read in place.
#include "client/fixture.hpp"
#include "order.capnp.h"

#include <grp.h>
#include <shmbus/capnp.hpp>
#include <unistd.h>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using shop::Order;

class TypedTest : public ClientTest {
  protected:
    Publisher publisher = bus.publisher("orders");
    Subscription subscription =
        bus.subscribe("orders", {.start = Start::all(), .trust_publishers = true});
    static void espresso(Order::Builder order) {
        order.setTable(7);
        order.setItem("espresso");
    }
    /// Does not fit in any room but the largest.
    static void long_order(Order::Builder order) {
        order.setTable(8);
        order.setItem(std::string(10'000, 'x').c_str());
    }
    Event next() {
        auto received = subscription.receive(30s);
        auto* event = std::get_if<Event>(&received);
        if (event == nullptr) throw std::runtime_error(text_of(received));
        return std::move(*event);
    }
};

TEST_F(TypedTest, IsReadWhereItWasBuilt) {
    const auto result = publisher.publish<Order>(espresso, {.key = "table 7", .type = 1});
    ASSERT_TRUE(result) << name_of(result.outcome);
    const Event event = next();
    EXPECT_EQ(event.sequence(), result.sequence);
    EXPECT_EQ(event.key(), "table 7");
    EXPECT_TRUE(event.in_place());
    const auto order = event.as<Order>();
    EXPECT_TRUE(order.in_place());
    EXPECT_EQ(order->getTable(), 7U);
    EXPECT_EQ(order->getItem(), "espresso");
    const auto* item = reinterpret_cast<const std::byte*>(order->getItem().begin());
    EXPECT_GE(item, event.payload().data());
    EXPECT_LT(item, event.payload().data() + event.payload().size());
    EXPECT_LT(event.payload().size(), 64U) << "as long as the message, not as the loan";
}

TEST_F(TypedTest, MayOutgrowItsRoom) {
    ASSERT_TRUE(publisher.publish<Order>(long_order));
    const Event event = next();
    const auto order = event.as<Order>();
    EXPECT_EQ(order->getTable(), 8U);
    EXPECT_EQ(order->getItem(), std::string(10'000, 'x').c_str());
}

TEST_F(TypedTest, StaysInLargeEnoughRoom) {
    ASSERT_TRUE(publisher.publish<Order>(long_order, {}, 64'000));
    const Event event = next();
    EXPECT_EQ(event.as<Order>()->getItem().size(), 10'000U);
    EXPECT_LT(event.payload().size(), 10'100U);
}

TEST_F(TypedTest, IsWhatTheStandardSerialisationIs) {
    ASSERT_TRUE(publisher.publish<Order>(espresso));
    capnp::MallocMessageBuilder message;
    espresso(message.initRoot<Order>());
    const auto words = capnp::messageToFlatArray(message);
    const auto expected = std::as_bytes(std::span(words.begin(), words.size()));
    const Event event = next();
    const Bytes payload = event.payload();
    EXPECT_TRUE(std::equal(payload.begin(), payload.end(), expected.begin(), expected.end()));
}

TEST_F(TypedTest, ReusedMemoryLeavesNothingBehind) {
    bus.create_topic(
        "dirty",
        {.capacity = 64, .max_event = 1024, .pool_bytes = 64'000, .retention = Retention::memory});
    publisher = bus.publisher("dirty");
    subscription = bus.subscribe("dirty", {.start = Start::all(), .trust_publishers = true});
    for (int i = 0; i < 200; ++i) { // more than there are chunks
        auto dirty = publisher.loan(1024);
        std::memset(dirty.payload().data(), 0xff, dirty.payload().size());
        ASSERT_TRUE(publisher.publish(dirty));
        next();
    }
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(publisher.publish<Order>([](Order::Builder order) { order.initItem(9); }));
        const Event event = next();
        const auto order = event.as<Order>();
        EXPECT_EQ(order->getTable(), 0U);
        EXPECT_EQ(order->getItem(), kj::StringPtr(std::string(9, '\0').c_str(), 9));
    }
}

TEST_F(TypedTest, IsNotPublishedWhenItsBuilderThrows) {
    EXPECT_THROW(publisher.publish<Order>([](Order::Builder) { throw std::logic_error("no"); }),
                 std::logic_error);
    EXPECT_EQ(subscription.head(), 0U);
}

TEST_F(TypedTest, IsTooLargeBeyondMaxEvent) {
    const auto result = publisher.publish<Order>(
        [](Order::Builder order) { order.setItem(std::string(70'000, 'x').c_str()); });
    EXPECT_EQ(result.outcome, PublishOutcome::too_large);
    EXPECT_TRUE(publisher.publish<Order>(espresso)) << "the room was given back";
}

TEST_F(TypedTest, NeedsNoPoolIfItFitsASlot) {
    bus.create_topic(
        "small",
        {.capacity = 64, .max_event = 128, .pool_bytes = 0, .retention = Retention::memory});
    auto small = bus.publisher("small");
    subscription = bus.subscribe("small", {.start = Start::all()});
    ASSERT_TRUE(small.publish<Order>(espresso));
    const Event event = next();
    EXPECT_FALSE(event.in_place());
    EXPECT_EQ(event.as<Order>()->getItem(), "espresso");
}

TEST_F(TypedTest, CopiesFirstWhereItsPublishersAreNotTrusted) {
    subscription = bus.subscribe("orders", {.start = Start::all(), .trust_publishers = false});
    ASSERT_TRUE(publisher.publish<Order>(espresso));
    const Event event = next();
    ASSERT_TRUE(event.in_place());
    EXPECT_FALSE(event.trusted());
    const auto order = event.as<Order>();
    EXPECT_FALSE(order.in_place());
    EXPECT_EQ(order->getItem(), "espresso");
}

TEST_F(TypedTest, IsTrustedIfTheDaemonSaysSo) {
    subscription = subscribe();
    ASSERT_TRUE(publisher.publish<Order>(espresso));
    // A daemon of root's serves the group shmbus as well, where there is one; a user's nobody else.
    const bool alone = ::geteuid() != 0 || ::getgrnam("shmbus") == nullptr;
    EXPECT_EQ(next().trusted(), alone);
}

TEST_F(TypedTest, OtherBytesAreRefused) {
    const std::vector<std::string> no_messages{"", "text", std::string(8, '\xff'),
                                               std::string("\0\0\0\0\xff\xff\0\0", 8),
                                               std::string(4'096, '\xff')};
    for (const auto& bytes : no_messages) {
        ASSERT_TRUE(publisher.publish(bytes));
        const Event event = next();
        try {
            (void)event.as<Order>()->getItem();
            FAIL() << "took " << bytes.size() << " bytes for a message";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Errc::damaged) << error.what();
        }
    }
}

} // namespace
} // namespace shmbus::test
