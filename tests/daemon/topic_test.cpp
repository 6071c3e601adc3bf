#include "daemon/registry/topic.hpp"

#include "base/memfd.hpp"
#include "daemon/registry/limits.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <set>
#include <sys/mman.h>
#include <sys/stat.h>

namespace shmbus::registry {
namespace {

const Holder holder{.session = 1, .pid = 77, .uid = 1000, .command = "worker"};
const TopicOptions options{.capacity = 64,
                           .slot_bytes = 128,
                           .max_event = 4096,
                           .pool_bytes = 1U << 20U,
                           .retention = Retention::memory};

class TopicTest : public testing::Test {
  protected:
    /// As a client sees it.
    ring::Topic map() {
        const auto& parameters = topic.parameters();
        const auto size = [](const base::Fd& fd) { return base::sealed_size(fd, "memory"); };
        const auto& ring_fd = topic.shared().ring().writable;
        const auto& readers_fd = topic.shared().readers().writable;
        ring_ = base::Mapping(ring_fd, base::Access::read_write, size(ring_fd));
        readers_ = base::Mapping(readers_fd, base::Access::read_write, size(readers_fd));
        ring::check_ring(ring_.bytes(), parameters, topic.uuid());
        ring::check_readers(readers_.bytes(), parameters, topic.uuid());
        return {ring::RingView(ring_.bytes(), parameters),
                ring::ReadersView(readers_.bytes(), parameters)};
    }
    Topic topic{"orders", {Topic::new_uuid(), options, 1000}, 1};

  private:
    base::Mapping ring_;
    base::Mapping readers_;
};

TEST_F(TopicTest, MemoryIsSealedAndItsOwnersAlone) {
    for (const auto* fds : {&topic.shared().ring(), &topic.shared().readers()}) {
        struct stat status {};
        ASSERT_EQ(::fstat(fds->writable.get(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777U, 0600U);
        EXPECT_EQ(::fcntl(fds->writable.get(), F_GETFL) & O_ACCMODE, O_RDWR);
        EXPECT_EQ(::fcntl(fds->read_only.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
        const void* writable =
            ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds->read_only.get(), 0);
        EXPECT_EQ(writable, MAP_FAILED);
        EXPECT_NE(::ftruncate(fds->writable.get(), 0), 0);
        EXPECT_EQ(::fcntl(fds->writable.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
}

/// Claims the next sequence and goes no further.
Sequence claim(const ring::Topic& view, std::uint32_t entry) {
    auto& header = view.ring.header();
    const Sequence s = header.tail.load_acquire();
    view.ring.slot(s).stamp.store_release(
        layout::Stamp::slot(s, layout::SlotState::claimed, entry).word());
    header.tail.store_release(s + 1);
    return s;
}

TEST_F(TopicTest, GivesUpAClaimThatStandsFromOneLookToTheNext) {
    const auto view = map();
    const auto entry = topic.lease_publisher(holder)->entry;
    EXPECT_EQ(topic.quarantine_stalled().claims, 0U);
    const Sequence s = claim(view, entry);
    EXPECT_EQ(topic.quarantine_stalled().claims, 0U) << "it may have begun a moment ago";
    const auto stalled = topic.quarantine_stalled();
    EXPECT_EQ(stalled.claims, 1U);
    EXPECT_EQ(stalled.first, s);
    ASSERT_EQ(topic.publishers(stalled.owners).size(), 1U);
    EXPECT_EQ(topic.publishers(stalled.owners)[0].pid, holder.pid);
    const Sequence next = claim(view, entry);
    EXPECT_EQ(topic.quarantine_stalled().claims, 0U);
    for (int i = 0; i < 200; ++i) (void)claim(view, entry); // laps behind it
    const auto many = topic.quarantine_stalled();
    EXPECT_EQ(many.claims, 0U) << "the slot of " << next << " has another lap's stamp";
    EXPECT_EQ(topic.quarantine_stalled().claims, options.capacity);
    EXPECT_EQ(topic.quarantine_stalled().claims, 0U);
}

TEST_F(TopicTest, LeavesTheClaimsOfAnExclusivePublisherAlone) {
    const auto view = map();
    const auto entry = topic.lease_publisher(holder, 0, true)->entry;
    (void)claim(view, entry);
    for (int look = 0; look < 3; ++look) EXPECT_EQ(topic.quarantine_stalled().claims, 0U);
    EXPECT_EQ(topic.quarantine(ring::Entries().set(entry)).claims, 0U);
}

/// It was stopped between its commit and the wake-up: who sleeps gets it all the same.
TEST_F(TopicTest, WakesWhoSleepsOnAnEventThatNobodyTellsOf) {
    const auto view = map();
    const auto entry = topic.lease_publisher(holder)->entry;
    const auto reader = topic.lease_subscriber(holder)->entry;
    const Sequence s = claim(view, entry);
    (void)topic.quarantine_stalled();
    const auto wake = [&] { return view.ring.header().wake.load_acquire(); };
    (void)view.event_bell().arm();
    const auto before = wake();
    view.ring.slot(s).stamp.store_release(
        layout::Stamp::slot(s, layout::SlotState::committed).word());
    (void)topic.quarantine_stalled();
    EXPECT_NE(wake(), before);
    (void)view.event_bell().arm();
    const auto after = wake();
    (void)topic.quarantine_stalled();
    EXPECT_EQ(wake(), after) << "nothing is new: who waits is left alone";
    view.readers.entry(reader).cursor.store_release(claim(view, entry));
    (void)view.event_bell().arm();
    const auto last = wake();
    (void)topic.quarantine_stalled();
    EXPECT_EQ(wake(), last) << "nobody is behind";
}

TEST_F(TopicTest, SlotsAreAllocatedAndThePoolIsNot) {
    struct stat status {};
    ASSERT_EQ(::fstat(topic.shared().ring().writable.get(), &status), 0);
    const auto allocated = static_cast<std::uint64_t>(status.st_blocks) * 512;
    EXPECT_GE(allocated, layout::geometry_of(topic.parameters()).slots_end);
    EXPECT_LT(allocated, static_cast<std::uint64_t>(status.st_size));
    EXPECT_EQ(topic.need().total, layout::geometry_of(topic.parameters()).total_bytes +
                                      layout::readers_geometry_of(topic.parameters()).total_bytes);
}

TEST_F(TopicTest, UuidsDiffer) {
    const Topic other("orders", {Topic::new_uuid(), options, 1000}, 1);
    EXPECT_NE(topic.uuid(), other.uuid());
}

TEST_F(TopicTest, PublisherIdsAreNeverUsedTwice) {
    const auto first = topic.lease_publisher(holder);
    const auto second = topic.lease_publisher(holder);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->id, 1U);
    EXPECT_EQ(second->id, 2U);
    EXPECT_NE(first->entry, second->entry);
    topic.abandon_publisher(first->entry);
    (void)topic.reap();
    const auto third = topic.lease_publisher(holder);
    ASSERT_TRUE(third);
    EXPECT_EQ(third->entry, first->entry) << "the lowest free entry keeps the table short";
    EXPECT_EQ(third->id, 3U);
    EXPECT_EQ(topic.publisher_count(), 2U);
}

TEST_F(TopicTest, EntriesRunOut) {
    for (int i = 0; i < entries_per_topic; ++i) {
        ASSERT_TRUE(topic.lease_publisher(holder));
        ASSERT_TRUE(topic.lease_subscriber(holder));
    }
    EXPECT_FALSE(topic.lease_publisher(holder));
    EXPECT_FALSE(topic.lease_subscriber(holder));
    topic.abandon_publisher(200);
    (void)topic.reap();
    EXPECT_EQ(topic.lease_publisher(holder)->entry, 200U);
}

TEST_F(TopicTest, AttachTokensLeaveRoomForRejoining) {
    std::set<std::uint64_t> ranges;
    for (int i = 0; i < 1000; ++i) {
        const auto lease = topic.lease_subscriber(holder);
        ASSERT_TRUE(lease);
        EXPECT_EQ(lease->entry, 0U);
        EXPECT_NE(lease->token, 0U);
        EXPECT_EQ(lease->token >> 56U, 0U);
        EXPECT_TRUE(ranges.insert(lease->token >> 20U).second);
        topic.abandon_subscriber(lease->entry);
        (void)topic.reap();
    }
}

TEST_F(TopicTest, LeasesShowInTheMemory) {
    const auto client = map();
    const auto publisher = topic.lease_publisher(holder);
    const auto subscriber = topic.lease_subscriber(holder);
    EXPECT_EQ(client.ring.publisher(publisher->entry).id.load_acquire(), publisher->id);
    EXPECT_EQ(client.ring.publisher(publisher->entry).pid.load_acquire(), holder.pid);
    EXPECT_EQ(client.ring.publisher_limit(), 1U);
    EXPECT_EQ(client.readers.entry(subscriber->entry).pid.load_acquire(), holder.pid);
    EXPECT_EQ(client.readers.reader_limit(), 1U);
    topic.abandon_publisher(publisher->entry);
    (void)topic.reap();
    EXPECT_EQ(client.ring.publisher(publisher->entry).id.load_acquire(), 0U);
}

TEST_F(TopicTest, TakesWhatClientsWriteAsHints) {
    const auto client = map();
    const auto lease = topic.lease_subscriber(holder);
    auto& entry = client.readers.entry(lease->entry);
    EXPECT_EQ(topic.head_hint(), 0U);
    EXPECT_EQ(topic.first_hint(), 1U);

    client.ring.header().tail.store_release(101);
    EXPECT_EQ(topic.head_hint(), 100U);
    EXPECT_EQ(topic.first_hint(), 101U - options.capacity);
    entry.cursor.store_release(~std::uint64_t{0});
    EXPECT_EQ(topic.subscribers().at(0).cursor, 100U);

    client.ring.header().tail.store_release(0); // impossible
    EXPECT_EQ(topic.head_hint(), 0U);
    EXPECT_EQ(topic.first_hint(), 1U);
}

TEST_F(TopicTest, KnowsWhoseEventASubscriberStandsAt) {
    const auto client = map();
    const auto publisher = topic.lease_publisher({.pid = 77, .uid = 0, .command = "pub"});
    const auto lease = topic.lease_subscriber(holder);
    client.readers.entry(lease->entry).cursor.store_release(4);
    client.ring.header().tail.store_release(6);
    const auto standing = [&](layout::SlotState state, std::uint32_t owner) {
        client.ring.slot(5).stamp.store_release(layout::Stamp::slot(5, state, owner).word());
        return topic.subscribers().at(0).waits_for_pid;
    };
    EXPECT_EQ(topic.subscribers().at(0).waits_for_pid, 0U);
    EXPECT_EQ(standing(layout::SlotState::claimed, publisher->entry), 77U);
    EXPECT_EQ(standing(layout::SlotState::claimed, 200), 0U) << "nobody has that entry";
    EXPECT_EQ(standing(layout::SlotState::committed, 0), 0U);
}

TEST_F(TopicTest, IsDrainedWhenEverybodyWhoCountsHasAcknowledged) {
    const auto client = map();
    const auto lease = topic.lease_subscriber(holder);
    auto& entry = client.readers.entry(lease->entry);
    client.ring.header().tail.store_release(11);
    EXPECT_TRUE(topic.is_drained_hint()) << "not attached yet";
    const auto gate = layout::attach_word(lease->token, layout::ReaderMode::gate);
    entry.attach.store_release(gate);
    entry.cursor.store_release(9);
    EXPECT_FALSE(topic.is_drained_hint());
    client.ring.watch(lease->entry).lossy.store_release(gate);
    EXPECT_TRUE(topic.is_drained_hint()) << "publishers gave it up";
    client.ring.watch(lease->entry).lossy.store_release(gate - 1);
    EXPECT_FALSE(topic.is_drained_hint()) << "they gave up an earlier one";
    entry.cursor.store_release(10);
    EXPECT_TRUE(topic.is_drained_hint());
}

TEST_F(TopicTest, BeginsWhereItIsTold) {
    const Topic late("late", {Topic::new_uuid(), options, 0}, 1ULL << 48U);
    EXPECT_EQ(late.head_hint(), (1ULL << 48U) - 1);
    EXPECT_EQ(late.first_hint(), 1ULL << 48U);
}

} // namespace
} // namespace shmbus::registry
