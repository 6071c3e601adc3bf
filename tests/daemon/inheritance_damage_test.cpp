// What a daemon makes of what the one before it left, damaged: it costs that topic and nothing else.
#include "daemon/inheritance_fixture.hpp"

#include <sys/mman.h>

namespace shmbus::registry {
namespace {

using layout::RingState;
using testing::Contains;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

base::Fd unsealed(std::uint64_t size) {
    base::Fd fd(::memfd_create("unsealed", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
    return fd;
}
std::uint64_t size_of(const base::Fd& fd) {
    struct stat status {};
    EXPECT_EQ(::fstat(fd.get(), &status), 0);
    return static_cast<std::uint64_t>(status.st_size);
}

class DamageTest : public InheritanceFixture {
  protected:
    DamageTest() {
        for (const auto* name : {"a", "b"}) {
            const auto topic = make(name, on_disk());
            publish(*topic, 10);
            clients.emplace(name, *topic);
        }
        session = life->open_session();
        (void)sessions().lease_publisher(session, topics().find("a"));
        (void)sessions().lease_publisher(session, topics().find("b"));
    }
    /// Only the other topic has its memory on; this one is made anew from the disk.
    void expect_a_alone_begins_anew() {
        EXPECT_FALSE(topics().awake("a"));
        EXPECT_EQ(clients.at("a").state(), RingState::open) << "they may hand it back";
        EXPECT_THAT(keeper.names(), Not(Contains(StartsWith("t1."))));
        const auto b = topics().awake("b");
        ASSERT_TRUE(b);
        EXPECT_EQ(inode_of(b->shared().ring().writable), inode_of(clients.at("b").ring));
        EXPECT_EQ(b->publisher_count(), 1U);
        EXPECT_EQ(clients.at("b").state(), RingState::open);
        const auto a = topics().find("a");
        EXPECT_GE(a->head_hint(), 10U);
        EXPECT_NE(inode_of(a->shared().ring().writable), inode_of(clients.at("a").ring));
        EXPECT_EQ(a->publisher_count(), 0U);
        EXPECT_GT(publish(*a, 1), 10U);
    }
    std::map<std::string, Client> clients;
    SessionId session = 0;
};

class MissingTest : public DamageTest, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Parts, MissingTest, testing::Values("books", "readers", "ring"),
                         [](const auto& of) { return of.param; });

TEST_P(MissingTest, CostsThatTopicAlone) {
    const std::string part = GetParam();
    auto left = keeper.all();
    ASSERT_EQ(left.erase("t1." + part), 1U);
    life->store.forget("t1." + part);
    inherit(std::move(left));
    expect_a_alone_begins_anew();
}

TEST_F(DamageTest, WhatIsSomethingElseCostsThatTopicAlone) {
    auto left = keeper.all();
    left["t1.ring"] = a_pipe();
    inherit(std::move(left));
    expect_a_alone_begins_anew();
}

TEST_F(DamageTest, ReadersThatAreNone) {
    auto left = keeper.all();
    left["t1.readers"] = unsealed(size_of(left["t1.readers"]));
    inherit(std::move(left));
    expect_a_alone_begins_anew();
}

TEST_F(DamageTest, ReadersOfAnotherSize) {
    auto left = keeper.all();
    left["t1.readers"] = base::make_memfd("readers", 4096, 0);
    inherit(std::move(left));
    expect_a_alone_begins_anew();
}

TEST_F(DamageTest, BooksThatAreNone) {
    auto left = keeper.all();
    left["t1.books"] = base::make_memfd("books", size_of(left["t1.books"]), 0); // zeros
    inherit(std::move(left));
    expect_a_alone_begins_anew();
}

TEST_F(DamageTest, BooksOfAnotherSize) {
    auto left = keeper.all();
    left["t1.books"] = base::make_memfd("books", size_of(left["t1.books"]) + 4096, 0);
    inherit(std::move(left));
    expect_a_alone_begins_anew();
}

TEST_F(DamageTest, TheRingOfAnotherTopic) {
    auto left = keeper.all();
    const auto other = make("c", on_disk());
    left["t1.ring"] = Client::copy_of(other->shared().ring().writable);
    inherit(std::move(left));
    expect_a_alone_begins_anew();
}

TEST_F(DamageTest, ARingWithoutAHeader) {
    auto left = keeper.all();
    const auto header = clients.at("a").ring_mapping.bytes().first(256);
    std::fill(header.begin(), header.end(), std::byte{0});
    inherit(std::move(left));
    expect_a_alone_begins_anew();
}

/// Any subscriber may have written anything there.
TEST_F(DamageTest, ReadersFullOfGarbageAreGoodEnough) {
    const auto subscriber = sessions().lease_subscriber(session, topics().find("a"), {});
    const auto bytes = clients.at("a").readers_mapping.bytes();
    std::fill(bytes.begin(), bytes.end(), std::byte{0xa5});
    inherit();
    const auto a = topics().awake("a");
    ASSERT_TRUE(a);
    EXPECT_EQ(a->subscriber_count(), 1U);
    EXPECT_EQ(sessions().topic_of(session, subscriber.lease), a);
    EXPECT_NO_THROW(ring::check_readers(bytes, a->parameters(), a->uuid()));
    EXPECT_EQ(publish(*a, 100), 110U);
}

TEST_F(DamageTest, ATopicThatIsAnotherOneOnDisk) {
    auto left = keeper.all();
    start(); // one that nobody handed anything
    life->begin();
    topics().remove(topics().find("a"), false);
    const auto uuid = make("a", on_disk())->uuid();
    EXPECT_EQ(publish(*topics().find("a"), 3), 3U);
    inherit(std::move(left));
    EXPECT_FALSE(topics().awake("a"));
    EXPECT_TRUE(topics().awake("b"));
    const auto a = topics().find("a");
    EXPECT_EQ(a->uuid(), uuid);
    EXPECT_GT(publish(*a, 1), 3U);
}

TEST_F(DamageTest, ATopicThatHasBegunAnewMeanwhile) {
    auto left = keeper.all();
    start();
    life->begin();
    const auto last = publish(*topics().find("a"), 3);
    EXPECT_GT(last, 13U);
    inherit(std::move(left));
    EXPECT_TRUE(topics().awake("b"));
    EXPECT_GT(publish(*topics().find("a"), 1), last);
}

TEST_F(DamageTest, ATopicOnDiskWithoutTheDisk) {
    life.reset();
    life = std::make_unique<Life>();
    life->begin(keeper.all());
    EXPECT_THAT(topics().list("", 10).topics, IsEmpty());
}

TEST_F(DamageTest, ATopicThatWasLeftTwice) {
    auto left = keeper.all();
    for (const std::string part : {"books", "ring", "readers"})
        left["t9." + part] = Client::copy_of(left["t1." + part]);
    inherit(std::move(left));
    ASSERT_TRUE(topics().awake("a"));
    EXPECT_EQ(topics().awake("a")->publisher_count(), 1U);
}

TEST_F(DamageTest, NamesThatMeanNothing) {
    auto left = keeper.all();
    for (const auto* name : {"",
                             "s",
                             "s1",
                             "s1.2",
                             "s0.1.5",
                             "sx.1.2",
                             "s9.1000.0",
                             "s9.1000.5x",
                             "s9.-.5",
                             "t",
                             "t1",
                             "t.",
                             "tx.ring",
                             "t1.ringx",
                             "t1.cursor",
                             "t1.cursor77",
                             "t1.cursor7.",
                             "t1.cursor7.?",
                             "t1.cursorx.s",
                             "t1.cursor7.s",
                             "t5.cursor1",
                             "stored",
                             "listen",
                             "unknown"}) {
        const auto fd = a_pipe();
        life->store.keep(name, fd);
        left[name] = Client::copy_of(fd);
    }
    const auto sessions_before = sessions().count();
    inherit(std::move(left));
    EXPECT_EQ(sessions().count(), sessions_before);
    for (const auto* name : {"a", "b"}) {
        ASSERT_TRUE(topics().awake(name));
        EXPECT_EQ(topics().awake(name)->publisher_count(), 1U);
    }
    EXPECT_EQ(keeper.names().size(), 7U) << "two topics, one session";
}

TEST_F(DamageTest, ASubscriptionWhosePageIsNone) {
    const auto topic = topics().find("a");
    const auto grant = sessions().lease_subscriber(session, topic, {.name = "s"});
    auto left = keeper.all();
    left.erase("t1.cursor1.s");
    inherit(std::move(left));
    const auto a = topics().awake("a");
    ASSERT_TRUE(a);
    EXPECT_EQ(a->subscriber_count(), 1U);
    const auto all = a->subscriptions().list();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_FALSE(all[0].holder) << "somebody else may have it";
    sessions().release(session, grant.lease);
    EXPECT_EQ(a->subscriber_count(), 0U);
}

} // namespace
} // namespace shmbus::registry
