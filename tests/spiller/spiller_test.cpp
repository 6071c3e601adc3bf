// Events on their way to the disk, with real threads, a ring in plain memory and a disk that can fail.
#include "spiller/running.hpp"
#include "store/workload.hpp"

#include <atomic>
#include <cerrno>

namespace shmbus::test {
namespace {

/// A disk, and the daemons that come and go on it.
class SpillerTest : public testing::Test {
  protected:
    SimulatedDisk disk;
    Strings contents() { return contents_of(disk); }
};

TEST_F(SpillerTest, BringsEverythingToTheDiskInOrder) {
    {
        Running running(disk);
        for (int i = 1; i <= 1'000; ++i)
            ASSERT_EQ(running.pub.publish(std::to_string(i), patience), published(Sequence(i)));
        ASSERT_EQ(running.pub.writer.wait_durable(1'000, patience), Durability::durable);
        EXPECT_TRUE(running.stop());
    }
    const auto all = contents();
    ASSERT_EQ(all.size(), 1'000U);
    for (int i = 1; i <= 1'000; ++i)
        EXPECT_EQ(all[std::size_t(i) - 1], std::to_string(i) + ' ' + std::to_string(i));
}

TEST_F(SpillerTest, TakesLargeEventsOutOfTheirChunks) {
    const std::string large(4'000, 'x');
    {
        Running running(disk);
        for (int i = 0; i < 20; ++i) {
            const auto chunk = [&] {
                std::uint32_t taken = layout::no_chunk;
                (void)running.pub.writer.take_chunk(layout::max_extension_bytes + large.size(),
                                                    patience, taken);
                running.pub.writer.give_back(taken);
                return running.pub.fill_chunk({large});
            }();
            ASSERT_NE(chunk, layout::no_chunk);
            ASSERT_EQ(running.pub.publish_filled(chunk, {large}, patience).outcome,
                      PublishOutcome::published);
            ASSERT_EQ(running.pub.writer.wait_durable(Sequence(i) + 1, patience),
                      Durability::durable);
        }
        EXPECT_TRUE(running.stop());
    }
    EXPECT_EQ(contents(), [&] {
        Strings all;
        for (int i = 1; i <= 20; ++i) all.push_back(std::to_string(i) + ' ' + large);
        return all;
    }());
}

// Who opens the files looks there first, and takes one that is missing for damage.
TEST_F(SpillerTest, AFileIsKeptNoMoreBeforeItGoes) {
    DiskPolicy policy;
    policy.keep.max_events = 50;
    std::atomic<std::size_t> removed = 0;
    std::atomic<std::size_t> removed_early = 0;
    Running* daemon = nullptr;
    disk.watch_removals([&](const std::string& name) {
        if (!name.ends_with(".seg") || daemon == nullptr) return;
        ++removed;
        for (const Sequence first : daemon->topic->kept().segments)
            if (layout::segment_name(first) == name) ++removed_early;
    });
    Running running(disk, policy, small_segments());
    daemon = &running;
    for (int i = 1; i <= 2'000; ++i)
        ASSERT_EQ(running.pub.publish(std::to_string(i), patience), published(Sequence(i)));
    EXPECT_TRUE(running.stop());
    EXPECT_GE(removed, 2U);
    EXPECT_EQ(removed_early, 0U);
}

TEST_F(SpillerTest, GoesOnBehindWhatItWroteBefore) {
    for (int run = 0; run < 3; ++run) {
        Running running(disk);
        ASSERT_EQ(running.pub.publish("run " + std::to_string(run), patience),
                  published(Sequence(run) + 1));
        EXPECT_TRUE(running.stop());
    }
    EXPECT_EQ(contents(), (Strings{"1 run 0", "2 run 1", "3 run 2"}));
}

TEST_F(SpillerTest, UsesNoSequenceAgainThatWasHandedOut) {
    Sequence last = 0;
    {
        Running running(disk);
        running.pub.publish_many(10);
        ASSERT_EQ(running.pub.writer.wait_durable(10, patience), Durability::durable);
        last = running.pub.publish("maybe on disk").sequence;
        // Killed: the ring goes, too.
    }
    Running again(disk);
    EXPECT_GT(again.ring.tail(), last);
    EXPECT_TRUE(again.stop());
    const auto all = contents();
    EXPECT_EQ(all.back().substr(all.back().find('-') + 1),
              std::to_string(again.ring.tail() - 1) + " lost");
}

TEST_F(SpillerTest, WaitsForSpaceAndGoesOnByItself) {
    Running running(disk);
    ASSERT_EQ(running.pub.publish("before", patience), published(1));
    ASSERT_EQ(running.pub.writer.wait_durable(1, patience), Durability::durable);
    disk.fail_at(0, ENOSPC, true);
    Sequence last = 1;
    for (auto result = published(1); result.outcome == PublishOutcome::published;) {
        result = running.pub.publish(std::string(60, 'y'), 300ms);
        if (result.outcome == PublishOutcome::published) last = result.sequence;
    }
    EXPECT_TRUE(running.topic->is_degraded());
    disk.fail_no_more();
    EXPECT_EQ(running.pub.publish("after", patience), published(last + 1));
    EXPECT_EQ(running.pub.writer.wait_durable(last + 1, patience), Durability::durable);
    EXPECT_FALSE(running.topic->is_degraded());
    EXPECT_TRUE(running.stop());
    const auto all = contents();
    ASSERT_EQ(all.size(), last + 1);
    EXPECT_EQ(all.front(), "1 before");
    EXPECT_EQ(all.back(), std::to_string(last + 1) + " after");
}

TEST_F(SpillerTest, LosesNothingWhateverOperationFailsOnce) {
    std::size_t failures = 0;
    for (std::size_t operation = 0; operation < 25; ++operation) {
        SimulatedDisk fresh;
        Running running(fresh);
        fresh.fail_at(operation, EIO);
        for (Sequence s = 1; s <= 200; ++s)
            ASSERT_EQ(running.pub.publish(std::to_string(s), patience), published(s));
        ASSERT_EQ(running.pub.writer.wait_durable(200, patience), Durability::durable);
        EXPECT_TRUE(running.stop());
        failures += fresh.has_failed() ? 1U : 0U;
        fresh.fail_no_more();
        const auto all = contents_of(fresh);
        ASSERT_EQ(all.size(), 200U) << "operation " << operation;
        for (std::size_t i = 1; i <= 200; ++i)
            ASSERT_EQ(all[i - 1], std::to_string(i) + ' ' + std::to_string(i));
    }
    EXPECT_GT(failures, 15U) << "else this shows nothing";
}

} // namespace
} // namespace shmbus::test
