// What a consumer keeps of how far it is.
#include "client/fixture.hpp"

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;

class AppliedTest : public ClientTest {
  protected:
    Event next() {
        EXPECT_TRUE(publisher.publish("x"));
        auto received = subscription.receive(30s);
        return std::move(std::get<Event>(received));
    }
    template <class Work> static Errc refusal(Work work) {
        try {
            work();
        } catch (const Error& e) {
            return e.code();
        }
        ADD_FAILURE() << "not refused";
        return Errc::system;
    }
    Publisher publisher = bus.publisher("orders");
    Subscription subscription = subscribe();
};

TEST_F(AppliedTest, WhatWasNotedIsNotNew) {
    Applied applied;
    const auto first = next();
    const auto second = next();
    const auto third = next();
    EXPECT_TRUE(applied.is_new(first));
    applied.note(second);
    EXPECT_FALSE(applied.is_new(first)) << "of a slot they come in order";
    EXPECT_FALSE(applied.is_new(second));
    EXPECT_TRUE(applied.is_new(third));
    applied.note(first);
    EXPECT_EQ(applied.at(0), 2U) << "it never goes back";
}

TEST_F(AppliedTest, EachSlotIsByItself) {
    Applied applied;
    applied.set(1, 100);
    applied.set(1'023, 7);
    EXPECT_TRUE(applied.is_new(next())); // of slot 0
    applied.set(0, 100);
    EXPECT_FALSE(applied.is_new(next()));
    EXPECT_EQ(applied.at(1'023), 7U);
    applied.set(0, 0);
    EXPECT_TRUE(applied.is_new(next())) << "as the database says";
}

TEST_F(AppliedTest, ComesBackFromItsBytes) {
    Applied applied;
    applied.set(3, 0x0102030405060708);
    applied.set(1'023, ~Sequence{0} >> 1U);
    ASSERT_EQ(applied.bytes().size(), 8'192U);
    EXPECT_EQ(applied.bytes()[24], std::byte{8}) << "little-endian";
    EXPECT_EQ(Applied(applied.bytes()), applied);
    EXPECT_EQ(Applied(std::vector<std::byte>(8'192)), Applied());
}

TEST_F(AppliedTest, WhatCannotBeIsRefused) {
    std::vector<std::byte> bytes(8'193);
    for (const std::size_t size : {0U, 8U, 8'191U, 8'193U})
        EXPECT_EQ(refusal([&] { (void)Applied(std::span(bytes).first(size)); }), Errc::damaged)
            << size;
    bytes[8'191] = std::byte{0x80};
    EXPECT_EQ(refusal([&] { (void)Applied(std::span(bytes).first(8'192)); }), Errc::damaged);
    Applied applied;
    EXPECT_EQ(refusal([&] { applied.set(0, ~Sequence{0}); }), Errc::damaged);
    EXPECT_EQ(refusal([&] { applied.set(key_slots, 1); }), Errc::bad_argument);
    EXPECT_EQ(refusal([&] { (void)applied.at(key_slots); }), Errc::bad_argument);
    auto event = next();
    event.release();
    EXPECT_EQ(refusal([&] { (void)applied.is_new(event); }), Errc::bad_argument);
    EXPECT_EQ(refusal([&] { applied.note(event); }), Errc::bad_argument);
    EXPECT_EQ(applied, Applied());
}

} // namespace
} // namespace shmbus::test
