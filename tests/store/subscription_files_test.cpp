// How far a group is, in two files.
#include "daemon/store/subscription_files.hpp"
#include "simulated_files.hpp"

#include <gmock/gmock.h>

namespace shmbus::store {
namespace {

using namespace std::chrono_literals;
using layout::Failure;
using testing::ElementsAre;

constexpr layout::Uuid topic{5, 5};

class SubscriptionFilesTest : public testing::Test {
  protected:
    SubscriptionFilesTest() {
        record.slots.assign(key_slots, {.seq = 8});
        record.slots[3] = {.seq = 9, .tries = 2, .failure = Failure::timed_out};
    }
    void write() { SubscriptionFiles(disk.open(), topic).write("g", record); }
    std::map<std::string, SubscriptionRecord> load() {
        damaged.clear();
        return SubscriptionFiles(disk.open(), topic).load(damaged);
    }
    test::SimulatedDisk disk;
    std::vector<std::string> damaged;
    SubscriptionRecord record{
        .created_ns = 1,
        .cursor = 7,
        .creator = 2,
        .begun = true,
        .group = GroupOptions{
            .ack_wait = 7s, .max_deliver = 3, .order = Order::none, .back_off = {1s, 2s}}};
};

TEST_F(SubscriptionFilesTest, WhatAGroupHasComesBack) {
    write();
    EXPECT_EQ(load().at("g"), record);
}

/// Members would refuse its memory.
TEST_F(SubscriptionFilesTest, AGroupWithOptionsThatCannotBeIsDamaged) {
    record.group->max_in_flight = 0;
    write();
    EXPECT_TRUE(load().empty());
    EXPECT_THAT(damaged, ElementsAre("g"));
}

TEST_F(SubscriptionFilesTest, WithoutAGoodFileNoSlotIsFurtherThanTheCursor) {
    write();
    const auto directory = disk.open();
    directory->open("g.slots", Directory::Access::write)->truncate(0);
    record.slots.assign(key_slots, {.seq = 8});
    EXPECT_EQ(load().at("g"), record);
    EXPECT_TRUE(damaged.empty());
}

TEST_F(SubscriptionFilesTest, NoSlotIsBehindTheCursor) {
    record.cursor = 8;
    write();
    for (std::size_t k = 0; k < key_slots; ++k)
        if (k != 3) record.slots[k] = {.seq = 9};
    EXPECT_EQ(load().at("g"), record);
}

} // namespace
} // namespace shmbus::store
