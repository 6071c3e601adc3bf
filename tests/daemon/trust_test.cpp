// Who may rely on whom: rules change while topics are in use, and nobody may be told what is not so.
#include "daemon/registry/sessions.hpp"
#include "daemon/registry/topic.hpp"
#include "shmbus/error.hpp"

#include <gmock/gmock.h>

namespace shmbus::registry {
namespace {

constexpr uid_t ann = 1010;
constexpr uid_t bob = 1011;
const Holder reader{.session = 1, .pid = 4321, .uid = ann, .command = "reader"};

class TrustTest : public testing::Test {
  protected:
    std::shared_ptr<Topic> topic =
        std::make_shared<Topic>("a",
                                store::TopicRecord{Topic::new_uuid(),
                                                   {.capacity = 16,
                                                    .slot_bytes = 128,
                                                    .max_event = 64,
                                                    .pool_bytes = 0,
                                                    .retention = Retention::memory}},
                                1);
    std::uint32_t subscribe() { return topic->lease_subscriber(reader)->entry; }
    void leave(std::uint32_t entry) {
        topic->abandon_subscriber(entry);
        (void)topic->reap();
    }
};

TEST_F(TrustTest, IsForWhoHasTheTopicWithRootAlone) {
    topic->note_writer(0);
    topic->note_writer(ann);
    (void)subscribe();
    EXPECT_FALSE(topic->lets_rely(bob));
    EXPECT_TRUE(topic->lets_rely(ann));
    topic->note_writer(ann);
    EXPECT_TRUE(topic->lets_rely(ann));
}

TEST_F(TrustTest, IsLostForGoodWhenAnotherWriterWasThere) {
    topic->note_writer(ann);
    topic->note_writer(bob); // who may have it mapped for as long as he likes
    (void)subscribe();
    EXPECT_FALSE(topic->lets_rely(ann));
    EXPECT_FALSE(topic->lets_rely(bob));
}

TEST_F(TrustTest, KeepsOthersFromWritingWhileSomebodyReliesOnIt) {
    const auto entry = subscribe();
    EXPECT_TRUE(topic->is_writable_by(bob));
    EXPECT_TRUE(topic->lets_rely(ann));
    EXPECT_FALSE(topic->is_writable_by(bob));
    EXPECT_TRUE(topic->is_writable_by(ann));
    EXPECT_TRUE(topic->is_writable_by(0));
    leave(entry);
    EXPECT_TRUE(topic->is_writable_by(bob));
    topic->note_writer(bob);
    (void)subscribe();
    EXPECT_FALSE(topic->lets_rely(ann));
}

TEST_F(TrustTest, OfOneUserAtATime) {
    const auto entry = subscribe();
    EXPECT_TRUE(topic->lets_rely(ann));
    const auto other = subscribe();
    EXPECT_FALSE(topic->lets_rely(bob)) << "ann's is still there";
    leave(entry);
    EXPECT_TRUE(topic->lets_rely(bob));
    EXPECT_FALSE(topic->is_writable_by(ann));
    leave(other);
}

TEST_F(TrustTest, IsInTheBooks) {
    (void)subscribe();
    topic->note_writer(ann);
    ASSERT_TRUE(topic->lets_rely(ann));
    const Books next(topic->books().fd());
    EXPECT_EQ(next.writer(), ann);
    EXPECT_EQ(next.relying_user(), ann);
    topic->note_writer(ann);
    EXPECT_EQ(Books(topic->books().fd()).relying_user(), ann);
}

TEST_F(TrustTest, RefusesAPublisherWithTheReason) {
    (void)subscribe();
    ASSERT_TRUE(topic->lets_rely(ann));
    Sessions sessions([](SessionId) {});
    const auto session = sessions.open({.pid = 1, .uid = bob}, "writer");
    try {
        (void)sessions.lease_publisher(session, topic);
        FAIL() << "accepted";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::busy);
        EXPECT_THAT(e.what(), testing::HasSubstr("rely on it that user 1011 does not publish"));
    }
    EXPECT_EQ(topic->books().writer(), Books::only_root);
    EXPECT_NO_THROW(
        (void)sessions.lease_publisher(sessions.open({.pid = 1, .uid = ann}, "w"), topic));
    EXPECT_EQ(topic->books().writer(), ann);
}

} // namespace
} // namespace shmbus::registry
