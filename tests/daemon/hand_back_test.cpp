// A daemon was killed and nobody kept what it had: clients hand it back, and go on with the next one.
#include "daemon/hand_back_fixture.hpp"

namespace shmbus::registry {
namespace {

using layout::HoldState;
using layout::RingState;

using GoesOnTest = TopicHandBackFixture;
INSTANTIATE_TEST_SUITE_P(Topics, GoesOnTest, testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(GoesOnTest, WithAllItsEvents) {
    kill_daemon();
    EXPECT_FALSE(topics().awake("a"));
    const auto lease = take(publisher_of(client, publisher));
    topic = topics().awake("a");
    ASSERT_TRUE(topic);
    EXPECT_TRUE(is_same(topic->shared().ring().writable, client.ring));
    EXPECT_TRUE(is_same(topic->shared().readers().writable, client.readers));
    EXPECT_EQ(topic->uuid(), client.uuid);
    EXPECT_EQ(topic->creator(), user);
    EXPECT_EQ(topic->head_hint(), 20U);
    EXPECT_EQ(topic->options().retention, GetParam());
    EXPECT_EQ(topic->options().capacity, options().capacity);
    EXPECT_EQ(client.state(), RingState::open);
    EXPECT_EQ(client.publish(publisher), 21U);
    EXPECT_EQ(topic->publisher_count(), 1U);
    EXPECT_EQ(sessions().count(), 1U) << "nobody else is waited for";
    sessions().release(session, lease);
    EXPECT_EQ(topic->publisher_count(), 0U);
    if (GetParam() == Retention::memory) return;
    EXPECT_EQ(publish(*topic, 1), 22U) << "all of it is on disk";
    EXPECT_EQ(topic->first_hint(), 1U);
}

/// Where the processor is busy they do not all come at once; but nobody waits for ever, whoever says that he is back.
TEST(GraceTest, IsLongerWhileClientsComeBack) {
    using Clock = Deadline::Clock;
    // Until nobody may hand anything back. @returns when somebody came back last, in time
    const auto come_back = [](Registry& topics, Clock::time_point until) {
        auto last = Clock::time_point::min();
        for (auto now = Clock::now(); topics.may_be_handed_back(); now = Clock::now()) {
            if (now >= until) continue;
            topics.note_return();
            if (topics.may_be_handed_back()) last = now; // it was not too late
        }
        return last;
    };
    Registry topics;
    const auto last = come_back(topics, Clock::now() + 2 * Registry::grace);
    EXPECT_GE(Clock::now(), last + Registry::grace);
    topics.note_return();
    EXPECT_FALSE(topics.may_be_handed_back()) << "it is over";
    const auto again = Clock::now();
    Registry others;
    const auto last_of_all = come_back(others, Clock::time_point::max());
    EXPECT_GE(Clock::now(),
              std::min(last_of_all + Registry::grace, again + Registry::longest_grace));
    EXPECT_LT(Clock::now(), again + Registry::longest_grace + std::chrono::seconds(10));
}

TEST_P(GoesOnTest, ForEverybody) {
    const auto reader = sessions().lease_subscriber(session, topic, {}).entry;
    const auto not_attached = sessions().lease_subscriber(session, topic, {}).entry;
    attach(client, reader);
    kill_daemon();
    (void)take(subscriber_of(client, reader));
    topic = topics().awake("a");
    EXPECT_EQ(topic->publisher_count(), 1U) << "it is waited for";
    EXPECT_EQ(topic->subscriber_count(), 2U);
    EXPECT_EQ(sessions().count(), 2U);
    (void)take(publisher_of(client, publisher));
    (void)take(subscriber_of(client, not_attached));
    EXPECT_EQ(topic->publisher_count(), 1U);
    EXPECT_EQ(topic->subscriber_count(), 2U);
    EXPECT_EQ(sessions().count(), 1U);
    EXPECT_EQ(topic->publishers().at(0).session, session);
    const auto other = sessions().lease_publisher(session, topic).entry;
    EXPECT_NE(other.entry, publisher.entry);
    EXPECT_GT(other.id, publisher.id);
}

TEST_P(GoesOnTest, WithoutThoseThatDied) {
    Bystander other;
    const auto childs = life->open_session(other.pid());
    const auto its = sessions().lease_publisher(childs, topic).entry;
    const auto reader = sessions().lease_subscriber(childs, topic, {}).entry;
    attach(client, reader);
    kill_daemon();
    const bool before = GetParam() == Retention::memory; // or while it is waited for
    if (before) other.end();
    (void)take(publisher_of(client, publisher));
    topic = topics().awake("a");
    EXPECT_EQ(topic->publisher_count(), before ? 1U : 2U);
    other.end();
    life->end_the_dead();
    EXPECT_EQ(topic->publisher_count(), 1U);
    EXPECT_EQ(topic->subscriber_count(), 0U);
    EXPECT_EQ(client.view.ring.publisher(its.entry).id.load_acquire(), 0U);
    EXPECT_EQ(client.view.readers.entry(reader.entry).attach.load_acquire(), 0U);
    EXPECT_EQ(sessions().count(), 1U);
}

TEST_P(GoesOnTest, AsTheOnlyPublisher) {
    sessions().keep(session, {});
    publisher = sessions().lease_publisher(session, topic, true).entry;
    kill_daemon();
    auto what = publisher_of(client, publisher);
    what.exclusive = true;
    (void)take(what);
    topic = topics().awake("a");
    EXPECT_TRUE(topic->is_exclusive());
    EXPECT_EQ(refusal([&] { (void)sessions().lease_publisher(session, topic); }).code(),
              Errc::busy);
}

TEST_P(GoesOnTest, Draining) {
    topic->set_state(RingState::draining);
    topic.reset();
    begin();
    (void)take(publisher_of(client, publisher));
    EXPECT_EQ(client.state(), RingState::draining);
    EXPECT_EQ(topics().awake("a")->state(), RingState::draining);
}

TEST_P(GoesOnTest, AlsoAfterAnOrderlyEnd) {
    // Several times: whoever carries the events on must never see it closed.
    for (Sequence round = 0; round < 20; ++round) {
        topic.reset();
        (void)topics().close_all(patience);
        begin();
        EXPECT_EQ(client.state(), RingState::closed);
        (void)take(publisher_of(client, publisher));
        EXPECT_EQ(client.state(), RingState::open);
        const auto last = client.publish(publisher);
        EXPECT_EQ(last, 11 + round);
        if (GetParam() == Retention::memory) continue;
        ring::SharedWriter writer(client.view, publisher.entry);
        ASSERT_EQ(writer.wait_durable(last, std::chrono::seconds(10)), Durability::durable);
    }
}

TEST_P(GoesOnTest, WithADurableSubscriptionInItsPage) {
    const auto grant = sessions().lease_subscriber(session, topic, {.name = "s"});
    const base::Mapping mapping(grant.durable.page, base::Access::read_write,
                                layout::cursor_page_bytes);
    auto& page = *reinterpret_cast<layout::CursorPage*>(mapping.bytes().data());
    attach(client, grant.entry);
    kill_daemon();
    page.cursor.store_release(17);
    auto what = subscriber_of(client, grant.entry);
    what.name = "s";
    what.cursor = Client::copy_of(grant.durable.page);
    const auto lease = take(what);
    topic = topics().awake("a");
    auto all = topic->subscriptions().list();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].record.cursor, 17U);
    ASSERT_TRUE(all[0].holder);
    EXPECT_EQ(all[0].holder->session, session);
    EXPECT_EQ(page.state.load_acquire(), static_cast<std::uint32_t>(HoldState::live));
    sessions().release(session, lease);
    EXPECT_EQ(page.state.load_acquire(), static_cast<std::uint32_t>(HoldState::ended));
    EXPECT_EQ(sessions().lease_subscriber(session, topic, {.name = "s"}).durable.cursor, 17U);
}

/// Somebody else was faster: the one that held it before must not go on as if nothing had happened.
TEST_P(GoesOnTest, ADurableSubscriptionHasOneHolder) {
    const auto grant = sessions().lease_subscriber(session, topic, {.name = "s"});
    const base::Mapping mapping(grant.durable.page, base::Access::read_write,
                                layout::cursor_page_bytes);
    const auto& page = *reinterpret_cast<layout::CursorPage*>(mapping.bytes().data());
    attach(client, grant.entry);
    kill_daemon();
    (void)take(publisher_of(client, publisher));
    topic = topics().awake("a");
    const auto other = sessions().lease_subscriber(session, topic, {.name = "s"});
    auto what = subscriber_of(client, grant.entry);
    what.name = "s";
    what.cursor = Client::copy_of(grant.durable.page);
    EXPECT_EQ(refused(what), Errc::busy);
    EXPECT_EQ(page.state.load_acquire(), static_cast<std::uint32_t>(HoldState::ended));
    EXPECT_EQ(topic->subscriber_count(), 2U) << "it may still read";
    EXPECT_EQ(client.state(), RingState::open);
    EXPECT_NO_THROW(sessions().release(session, other.lease));
}

class GroupGoesOnTest : public GoesOnTest {
  protected:
    GroupGoesOnTest()
        : mapping(member.durable.page, base::Access::read_write, layout::group_bytes) {
        attach(client, member.entry);
    }
    [[nodiscard]] HandedBack what() const {
        auto what = subscriber_of(client, member.entry);
        what.name = "g";
        what.cursor = Client::copy_of(member.durable.page);
        return what;
    }
    const Sessions::Wish wish{.name = "g", .group = GroupOptions{}};
    Sessions::SubscriberGrant member = sessions().lease_subscriber(session, topic, wish);
    base::Mapping mapping;
};
INSTANTIATE_TEST_SUITE_P(Topics, GroupGoesOnTest,
                         testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(GroupGoesOnTest, WithWhatItsMembersHaveDone) {
    EXPECT_EQ(sessions().begin_group(session, member.lease, 7), 6U);
    kill_daemon();
    (void)take(what());
    const auto all = topics().awake("a")->subscriptions().list();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_TRUE(all[0].record.begun);
    EXPECT_EQ(all[0].record.cursor, 6U);
}

/// Nobody has said yet where it begins.
TEST_P(GroupGoesOnTest, OneThatHasNotBegunHasNotBegun) {
    kill_daemon();
    const auto lease = take(what());
    const auto all = topics().awake("a")->subscriptions().list();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_FALSE(all[0].record.begun);
    EXPECT_EQ(sessions().begin_group(session, lease, 15), 14U);
}

/// Others have begun with the group before it came back: it must not go on beside them.
TEST_P(GroupGoesOnTest, WhoComesBackToAnotherMemoryIsNoMember) {
    (void)sessions().begin_group(session, member.lease, 1);
    kill_daemon();
    (void)take(publisher_of(client, publisher));
    topic = topics().awake("a");
    (void)sessions().lease_subscriber(session, topic, wish);
    EXPECT_EQ(refused(what()), Errc::busy);
    group::Table table(mapping.bytes());
    EXPECT_EQ(table.member(member.entry.entry).ended.load_acquire(), 1U);
    EXPECT_EQ(client.state(), RingState::open);
}

} // namespace
} // namespace shmbus::registry
