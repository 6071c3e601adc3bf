// The gate of topics on disk: what is stored, and nothing else.
#include "support/stopped.hpp"
#include "support/subscriber.hpp"

#include <chrono>
#include <thread>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using layout::GateKind;

layout::RingParameters on_disk(GateKind gate, FullPolicy policy = FullPolicy::block) {
    auto p = parameters(policy);
    p.gate = static_cast<std::uint8_t>(gate);
    return p;
}

class StorageGate : public testing::TestWithParam<GateKind> {
  protected:
    /// As far as the gate is concerned; the other watermark is somewhere else.
    void store(const TestRing& ring, Sequence through) {
        const bool durable = GetParam() == GateKind::durable;
        ring::set_stored(ring.topic, durable ? through + 2 : through, durable ? through : 0);
    }
};
INSTANTIATE_TEST_SUITE_P(Kind, StorageGate, testing::Values(GateKind::written, GateKind::durable));

TEST_P(StorageGate, HoldsBackWhatIsNotStored) {
    const TestRing ring(on_disk(GetParam()));
    Pub pub(ring, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out);
    store(ring, 1);
    EXPECT_EQ(pub.publish("yes"), published(9));
    EXPECT_EQ(pub.publish("no").outcome, PublishOutcome::timed_out);
}

TEST_P(StorageGate, WaitsForNoSubscriber) {
    const TestRing ring(on_disk(GetParam()));
    Pub pub(ring, 0);
    Sub asleep(ring, 0);
    pub.publish_many(8);
    store(ring, 8);
    pub.publish_many(8);
    EXPECT_EQ(asleep.next(), "1-8 overrun");
}

TEST_P(StorageGate, BelievesInNothingBeyondTheNewestEvent) {
    const TestRing ring(on_disk(GetParam()));
    Pub pub(ring, 0);
    pub.publish_many(4);
    store(ring, 1'000); // forged
    ring::Gate gate(ring.topic, 1);
    EXPECT_TRUE(gate.is_past(4));
    EXPECT_FALSE(gate.is_past(5));
}

TEST_P(StorageGate, OpensForAPublisherThatSleeps) {
    const TestRing ring(on_disk(GetParam()));
    Pub pub(ring, 0);
    pub.publish_many(8);
    std::thread storage([&] {
        auto& armed = ring.topic.ring.header().space_armed;
        while (armed.load_acquire() < 1) std::this_thread::yield();
        store(ring, 8);
    });
    EXPECT_EQ(pub.publish("when there is room", 30s), published(9));
    storage.join();
}

TEST_P(StorageGate, RefusesByPolicyOrOverwrites) {
    const TestRing rejecting(on_disk(GetParam(), FullPolicy::reject));
    Pub refused(rejecting, 0);
    refused.publish_many(8);
    EXPECT_EQ(refused.publish("no").outcome, PublishOutcome::full);
    const TestRing dropping(on_disk(GetParam(), FullPolicy::drop_oldest));
    Pub pub(dropping, 0);
    pub.publish_many(8);
    EXPECT_EQ(pub.publish("yes"), published(9));
}

TEST_P(StorageGate, RevokesTheClaimOfAStoppedPublisherThatItWaitsFor) {
    auto p = on_disk(GetParam());
    p.evict_after_ms = 1;
    const TestRing ring(p);
    Pub pub(ring, 1);
    const Pub stopped(ring, 0);
    pub.publish_many(2);
    ASSERT_EQ(stop(ring, stopped, Step::tail), 3U);
    ASSERT_TRUE(ring.is(3, SlotState::claimed, 0));
    ring::set_stored(ring.topic, 2, 2);
    pub.publish_many(7);
    EXPECT_EQ(pub.publish("no", 200ms).outcome, PublishOutcome::timed_out);
    EXPECT_TRUE(ring.is(3, SlotState::quarantined, 0)) << "now the storage can go on";
}

TEST(Durable, IsWhatTheDiskHas) {
    const TestRing ring(on_disk(GateKind::durable));
    Pub pub(ring, 0);
    pub.publish_many(2);
    ring::set_stored(ring.topic, 2, 1);
    EXPECT_EQ(pub.writer.wait_durable(1, Deadline::now()), Durability::durable);
    EXPECT_EQ(pub.writer.wait_durable(2, 1ms), Durability::timed_out);
    pub.writer.interrupt();
    EXPECT_EQ(pub.writer.wait_durable(2, 30s), Durability::interrupted);
    std::thread storage([&] { ring::set_stored(ring.topic, 2, 2); });
    EXPECT_EQ(pub.writer.wait_durable(2, 30s), Durability::durable);
    storage.join();
}

TEST(Durable, NeverIsInATopicThatWasRemoved) {
    const TestRing ring(on_disk(GateKind::durable));
    Pub pub(ring, 0);
    pub.publish_many(2);
    ring::set_stored(ring.topic, 1, 1);
    std::thread remover([&] { ring::set_state(ring.topic, layout::RingState::removed); });
    EXPECT_EQ(pub.writer.wait_durable(2, 30s), Durability::closed);
    remover.join();
    EXPECT_EQ(pub.writer.wait_durable(1, 30s), Durability::durable);
}

TEST(Durable, NeverIsWithoutASync) {
    for (const auto gate : {GateKind::readers, GateKind::written}) {
        const TestRing ring(on_disk(gate));
        Pub pub(ring, 0);
        pub.publish_many(1);
        ring::set_stored(ring.topic, 1, 1);
        EXPECT_EQ(pub.writer.wait_durable(1, Deadline::now()), Durability::not_durable);
    }
}

} // namespace
} // namespace shmbus::test
