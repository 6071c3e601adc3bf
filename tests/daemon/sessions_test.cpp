#include "daemon/registry/sessions.hpp"

#include "daemon/registry/limits.hpp"
#include "shmbus/error.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

namespace shmbus::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SessionsTest : public testing::Test {
  protected:
    std::vector<SessionId> gone;
    Sessions sessions{[this](SessionId id) { gone.push_back(id); }};
    std::shared_ptr<Topic> topic =
        std::make_shared<Topic>("orders",
                                store::TopicRecord{Topic::new_uuid(),
                                                   TopicOptions{.capacity = 64,
                                                                .slot_bytes = 128,
                                                                .max_event = 64,
                                                                .pool_bytes = 0,
                                                                .retention = Retention::memory},
                                                   1000},
                                1);
    const base::Peer peer{.pid = 77, .uid = 1000, .groups = {}};
};

TEST_F(SessionsTest, EndWithTheConnectionWhenTheyHoldNothing) {
    const auto id = sessions.open(peer, "worker");
    const auto lease = sessions.lease_publisher(id, topic);
    sessions.release(id, lease.lease);
    EXPECT_EQ(topic->publisher_count(), 0U);
    EXPECT_TRUE(sessions.connection_closed(id));
    EXPECT_THAT(gone, ElementsAre(id));
    EXPECT_FALSE(sessions.process_died(id)) << "it is gone already";
}

TEST_F(SessionsTest, KeepWhatTheyHoldWithoutAConnection) {
    const auto id = sessions.open(peer, "worker");
    (void)sessions.lease_publisher(id, topic);
    (void)sessions.lease_subscriber(id, topic, {});
    EXPECT_FALSE(sessions.connection_closed(id));
    EXPECT_THAT(gone, IsEmpty());
    EXPECT_EQ(topic->publisher_count() + topic->subscriber_count(), 2U);

    const auto ended = sessions.process_died(id);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->publishers, 1U);
    EXPECT_EQ(ended->subscribers, 1U);
    EXPECT_EQ(ended->who.command, "worker");
    EXPECT_EQ(topic->publisher_count() + topic->subscriber_count(), 0U);
    EXPECT_THAT(gone, ElementsAre(id));
}

// What an exec does, in whichever order the two are heard of.
TEST_F(SessionsTest, LoseSubscriptionsWhenAProcessGoesOnWithoutThreadAndConnection) {
    const base::Peer self{.pid = ::getpid(), .uid = 1000, .groups = {}};
    for (const bool thread_first : {true, false}) {
        const auto id = sessions.open(self, "worker");
        (void)sessions.lease_subscriber(id, topic, {});
        if (thread_first) (void)sessions.thread_ended(id);
        EXPECT_EQ(sessions.connection_closed(id), thread_first);
        EXPECT_EQ(topic->subscriber_count(), thread_first ? 0U : 1U);
        if (!thread_first) (void)sessions.thread_ended(id);
        EXPECT_EQ(topic->subscriber_count(), 0U);
        EXPECT_EQ(gone.back(), id);
    }
    // What it publishes with it keeps: nobody knows whether it is still writing.
    const auto id = sessions.open(self, "worker");
    (void)sessions.lease_publisher(id, topic);
    (void)sessions.lease_subscriber(id, topic, {});
    EXPECT_FALSE(sessions.connection_closed(id));
    (void)sessions.thread_ended(id);
    EXPECT_EQ(topic->subscriber_count(), 0U);
    EXPECT_EQ(topic->publisher_count(), 1U);
}

TEST_F(SessionsTest, AreResumedByTheirOwnProcessAlone) {
    const auto id = sessions.open(peer, "worker");
    const auto ticket = sessions.ticket_of(id);
    (void)sessions.lease_publisher(id, topic);
    EXPECT_FALSE(sessions.resume(peer, ticket)) << "somebody is there";
    EXPECT_FALSE(sessions.connection_closed(id));
    EXPECT_FALSE(sessions.resume({.pid = 78, .uid = 1000, .groups = {}}, ticket));
    EXPECT_FALSE(sessions.resume({.pid = 77, .uid = 1001, .groups = {}}, ticket));
    EXPECT_FALSE(sessions.resume(peer, ticket + 1));
    EXPECT_FALSE(sessions.resume(peer, 0));
    EXPECT_EQ(sessions.resume(peer, ticket), id);
}

TEST_F(SessionsTest, KeepWhatIsStillWanted) {
    const auto id = sessions.open(peer, "worker");
    const auto kept = sessions.lease_publisher(id, topic);
    (void)sessions.lease_publisher(id, topic);
    (void)sessions.lease_subscriber(id, topic, {});
    EXPECT_THAT(sessions.keep(id, {kept.lease, 999}), ElementsAre(999)) << "is not known here";
    EXPECT_EQ(topic->publisher_count(), 1U);
    EXPECT_EQ(topic->subscriber_count(), 0U);
    sessions.release(id, kept.lease);
    EXPECT_EQ(topic->publisher_count(), 0U);
}

TEST_F(SessionsTest, AnExclusivePublisherIsTheOnlyOneWhileItLives) {
    const auto refused = [&](SessionId id, bool exclusive) -> std::string {
        try {
            (void)sessions.lease_publisher(id, topic, exclusive);
            return "granted";
        } catch (const Error& e) {
            return e.code() == Errc::busy ? e.what() : "another error";
        }
    };
    const auto one = sessions.open(peer, "one");
    const auto two = sessions.open(peer, "two");
    const auto shared = sessions.lease_publisher(one, topic);
    EXPECT_FALSE(topic->is_exclusive());
    EXPECT_THAT(refused(two, true), HasSubstr("orders has publishers: one (pid 77)"));
    sessions.release(one, shared.lease);

    const auto exclusive = sessions.lease_publisher(one, topic, true);
    EXPECT_TRUE(topic->is_exclusive());
    EXPECT_THAT(refused(two, true), HasSubstr("an exclusive publisher: one (pid 77)"));
    EXPECT_THAT(refused(two, false), HasSubstr("an exclusive publisher: one (pid 77)"));
    EXPECT_FALSE(sessions.connection_closed(one)) << "and so says nothing about the process";
    EXPECT_THAT(refused(two, true), HasSubstr("an exclusive publisher"));
    (void)exclusive;
    (void)sessions.process_died(one);
    EXPECT_FALSE(topic->is_exclusive());
    (void)sessions.lease_publisher(two, topic);
    EXPECT_FALSE(topic->is_exclusive());
    EXPECT_EQ(refused(two, false), "granted");
}

TEST_F(SessionsTest, ReleaseOnlyWhatIsTheirOwn) {
    const auto one = sessions.open(peer, "one");
    const auto two = sessions.open(peer, "two");
    const auto lease = sessions.lease_publisher(one, topic);
    sessions.release(two, lease.lease);
    sessions.release(one, lease.lease + 1);
    EXPECT_EQ(topic->publisher_count(), 1U);
    sessions.release(one, lease.lease);
    sessions.release(one, lease.lease);
    EXPECT_EQ(topic->publisher_count(), 0U);
}

TEST_F(SessionsTest, AreLimitedByUser) {
    for (std::size_t i = 0; i < Limits{}.sessions_per_user; ++i) sessions.open(peer, "worker");
    try {
        sessions.open(peer, "worker");
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::limit);
        EXPECT_THAT(e.what(), HasSubstr("user 1000 has 256 sessions"));
    }
    auto other = peer;
    other.uid = 1001;
    EXPECT_NO_THROW(sessions.open(other, "worker"));
}

TEST_F(SessionsTest, AreLimitedByBus) {
    auto other = peer;
    for (std::size_t i = 0; i < Limits{}.sessions; ++i, ++other.uid) sessions.open(other, "worker");
    EXPECT_THROW(sessions.open(other, "worker"), Error);
}

TEST_F(SessionsTest, LeaseNothingWhenTheTopicIsFull) {
    const auto id = sessions.open(peer, "worker");
    for (int i = 0; i < entries_per_topic; ++i) (void)sessions.lease_publisher(id, topic);
    EXPECT_THROW((void)sessions.lease_publisher(id, topic), Error);
    EXPECT_EQ(sessions.process_died(id)->publishers, std::size_t{entries_per_topic});
}

TEST_F(SessionsTest, LeaseNothingToTheDead) {
    const auto id = sessions.open(peer, "worker");
    (void)sessions.process_died(id);
    EXPECT_THROW((void)sessions.lease_publisher(id, topic), Error);
    EXPECT_NO_THROW(sessions.release(id, 1));
}

TEST_F(SessionsTest, KeepATopicThatWasRemoved) {
    const auto id = sessions.open(peer, "worker");
    const auto lease = sessions.lease_publisher(id, topic);
    const std::weak_ptr<Topic> watched = topic;
    topic.reset();
    EXPECT_FALSE(watched.expired());
    sessions.release(id, lease.lease);
    EXPECT_TRUE(watched.expired());
}

} // namespace
} // namespace shmbus::registry
