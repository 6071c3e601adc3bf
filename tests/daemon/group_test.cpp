// A group in the daemon, with memory that members have written to, and those who come back with it.
#include "daemon/registry/group.hpp"

#include "support/ring_fixture.hpp"

#include <gmock/gmock.h>

namespace shmbus::registry {
namespace {

class GroupInDaemonTest : public testing::Test {
  protected:
    static Group::Member member(std::uint32_t i) {
        return {.hold = i + 1U, .entry = i, .who = {.session = 1, .pid = i + 100U}};
    }
    [[nodiscard]] static std::uint32_t slots_of(const Group& group, std::uint32_t i) {
        for (const auto& each : group.info().members)
            if (each.peer.pid == i + 100U) return each.slots;
        return 0;
    }
    GroupInDaemonTest() {
        record.begun = true;
        record.group = GroupOptions{};
        record.slots.assign(key_slots, {.seq = 1});
    }
    test::TestRing ring{test::parameters()};
    store::SubscriptionRecord record;
};

TEST_F(GroupInDaemonTest, WhoComesBackKeepsItsSlots) {
    Group before("g", test::a_topic, ring.topic, record);
    for (const std::uint32_t i : {0U, 1U}) before.attach(member(i), record);
    Group after(before.memory(), test::a_topic, ring.topic);
    for (const std::uint32_t i : {0U, 1U}) after.adopt(member(i));
    for (const std::uint32_t i : {0U, 1U}) EXPECT_EQ(slots_of(after, i), 512U);
}

/// When the slots of who did not come back are with others already.
TEST_F(GroupInDaemonTest, WhoComesBackLateGetsSlotsAgain) {
    Group before("g", test::a_topic, ring.topic, record);
    for (const std::uint32_t i : {0U, 1U}) before.attach(member(i), record);
    Group after(before.memory(), test::a_topic, ring.topic);
    after.adopt(member(0));
    after.reclaim();
    EXPECT_EQ(slots_of(after, 0), 1024U);
    after.adopt(member(1));
    for (const std::uint32_t i : {0U, 1U}) EXPECT_EQ(slots_of(after, i), 512U);
}

/// Its first member had not said yet where it begins.
TEST_F(GroupInDaemonTest, WhatHasNotBegunBeginsWithTheNextDaemon) {
    record.begun = false;
    record.slots.clear();
    Group before("g", test::a_topic, ring.topic, record);
    before.attach(member(0), record);
    Group after(before.memory(), test::a_topic, ring.topic);
    after.adopt(member(0));
    EXPECT_FALSE(after.take(record));
    EXPECT_FALSE(record.begun);
    after.begin(record);
    EXPECT_EQ(slots_of(after, 0), 1024U);
}

/// No further than there are events, and never back.
TEST_F(GroupInDaemonTest, WhatMembersWroteIsBelievedAsFarAsItCanBeTrue) {
    Group group("g", test::a_topic, ring.topic, record);
    group.attach(member(0), record);
    for (int i = 0; i < 3; ++i) test::Pub(ring, 1).publish({"payload", "key", 1, 0});
    const base::Mapping mapping(group.memory(), base::Access::read_write, layout::group_bytes);
    const group::Table table(mapping.bytes());
    const auto write = [&](Sequence seq) {
        for (std::uint32_t k = 0; k < key_slots; ++k) {
            auto& word = table.slot(k).word;
            const auto epoch = layout::SlotWord(word.load_relaxed()).epoch();
            word.store_relaxed(layout::SlotWord(epoch, layout::SlotPhase::rest, seq).word());
        }
        (void)group.take(record);
        return record.cursor;
    };
    EXPECT_EQ(write(3), 2U);
    EXPECT_EQ(write(1'000), 3U);
    EXPECT_EQ(write(1), 3U);
}

} // namespace
} // namespace shmbus::registry
