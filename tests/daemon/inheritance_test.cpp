// What a daemon makes of what the one before it left: everybody goes on.
#include "daemon/inheritance_fixture.hpp"

namespace shmbus::registry {
namespace {

using layout::RingState;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

const base::Peer me{.pid = ::getpid(), .uid = user};

using InheritanceTest = InheritanceFixture;

/// For both kinds of topics.
class WholeTest : public InheritanceFixture, public testing::WithParamInterface<Retention> {
  protected:
    [[nodiscard]] static TopicOptions options() {
        return GetParam() == Retention::disk ? on_disk() : in_memory();
    }
};
INSTANTIATE_TEST_SUITE_P(Topics, WholeTest, testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(WholeTest, TheMemoryIsTheSameAndGoesOn) {
    const Client client(*make("a", options()));
    const auto session = life->open_session();
    const auto publisher = sessions().lease_publisher(session, topics().find("a")).entry;
    for (Sequence s = 1; s <= 10; ++s) EXPECT_EQ(client.publish(publisher), s);
    for (Sequence life_number = 0; life_number < 5; ++life_number) {
        inherit();
        const auto topic = topics().awake("a");
        ASSERT_TRUE(topic);
        EXPECT_EQ(inode_of(topic->shared().ring().writable), inode_of(client.ring));
        EXPECT_EQ(inode_of(topic->shared().readers().writable), inode_of(client.readers));
        EXPECT_EQ(topic->uuid(), client.uuid);
        EXPECT_EQ(topic->options(), options());
        EXPECT_EQ(topic->creator(), user);
        EXPECT_EQ(topic->head_hint(), 10 + life_number);
        EXPECT_EQ(client.state(), RingState::open);
        EXPECT_EQ(client.publish(publisher), 11 + life_number);
    }
}

TEST_P(WholeTest, EverybodyHoldsWhatHeHeld) {
    auto topic = make("a", options());
    const auto session = life->open_session();
    const auto ticket = sessions().ticket_of(session);
    const auto publisher = sessions().lease_publisher(session, topic);
    const auto subscriber = sessions().lease_subscriber(session, topic, {});
    topic.reset();
    for (int i = 0; i < 3; ++i) {
        inherit();
        topic = topics().find("a");
        EXPECT_EQ(topic->publisher_count(), 1U);
        EXPECT_EQ(topic->subscriber_count(), 1U);
        EXPECT_EQ(topic->publishers().at(0).pid, static_cast<std::uint32_t>(::getpid()));
        EXPECT_EQ(topic->publishers().at(0).uid, user);
        EXPECT_EQ(sessions().topic_of(session, subscriber.lease), topic);
    }
    const auto other = life->open_session();
    EXPECT_GT(other, session);
    const auto next = sessions().lease_publisher(other, topic);
    EXPECT_NE(next.entry.entry, publisher.entry.entry);
    EXPECT_GT(next.entry.id, publisher.entry.id);
    EXPECT_GT(next.lease, subscriber.lease);
    const auto reader = sessions().lease_subscriber(other, topic, {});
    EXPECT_NE(reader.entry.entry, subscriber.entry.entry);

    EXPECT_FALSE(sessions().resume({.pid = ::getppid(), .uid = user}, ticket));
    EXPECT_EQ(sessions().resume(me, ticket), session);
    sessions().release(session, publisher.lease);
    sessions().release(session, subscriber.lease);
    EXPECT_EQ(topic->publisher_count() + topic->subscriber_count(), 2U);
}

TEST_P(WholeTest, AnEntryOfTheOneBeforeIsNeverLeasedAsTheSame) {
    auto topic = make("a", options());
    const auto session = life->open_session();
    const auto first = sessions().lease_subscriber(session, topic, {});
    topic.reset();
    inherit();
    topic = topics().find("a");
    sessions().release(session, first.lease);
    const auto second = sessions().lease_subscriber(session, topic, {});
    EXPECT_EQ(second.entry.entry, first.entry.entry);
    EXPECT_NE(second.entry.token, first.entry.token);
}

TEST_P(WholeTest, AnExclusivePublisherIsOneOn) {
    const auto session = life->open_session();
    const auto lease = sessions().lease_publisher(session, make("a", options()), true).lease;
    inherit();
    const auto topic = topics().find("a");
    EXPECT_TRUE(topic->is_exclusive());
    EXPECT_EQ(refusal([&] { (void)sessions().lease_publisher(session, topic); }).code(),
              Errc::busy);
    sessions().release(session, lease);
    EXPECT_NO_THROW((void)sessions().lease_publisher(session, topic));
}

TEST_P(WholeTest, ADurableSubscriptionGoesOnInItsPage) {
    auto topic = make("a", options());
    const Client client(*topic);
    const auto session = life->open_session();
    const auto publisher = sessions().lease_publisher(session, topic).entry;
    const auto grant = sessions().lease_subscriber(session, topic, {.name = "s"});
    const base::Mapping mapping(grant.durable.page, base::Access::read_write,
                                layout::cursor_page_bytes);
    auto& page = *reinterpret_cast<layout::CursorPage*>(mapping.bytes().data());
    topic.reset();
    for (Sequence s = 1; s <= 5; ++s) {
        EXPECT_EQ(client.publish(publisher), s);
        page.cursor.store_release(s);
        inherit();
        const auto listed = topics().find("a")->subscriptions().list();
        ASSERT_EQ(listed.size(), 1U);
        EXPECT_EQ(listed[0].record.cursor, s);
        ASSERT_TRUE(listed[0].holder);
        EXPECT_EQ(listed[0].holder->session, session);
    }
    const auto busy =
        refusal([&] { (void)sessions().lease_subscriber(session, topics().find("a"), {"s"}); });
    EXPECT_EQ(busy.code(), Errc::busy);
    EXPECT_EQ(page.state.load_acquire(), static_cast<std::uint32_t>(layout::HoldState::live));
    sessions().release(session, grant.lease);
    EXPECT_EQ(page.state.load_acquire(), static_cast<std::uint32_t>(layout::HoldState::ended));
    // The daemon may die before it has brought the cursor to disk, and of a topic in memory it never does.
    for (int i = 0; i < 2; ++i) {
        inherit();
        const auto listed = topics().find("a")->subscriptions().list();
        ASSERT_EQ(listed.size(), 1U);
        EXPECT_EQ(listed[0].record.cursor, 5U);
        EXPECT_FALSE(listed[0].holder);
    }
    EXPECT_EQ(sessions().lease_subscriber(session, topics().find("a"), {"s"}).durable.cursor, 5U);
}

TEST_P(WholeTest, ASubscriptionThatWasTakenOverIsTheSecondOnes) {
    auto topic = make("a", options());
    const Client client(*topic);
    const auto session = life->open_session();
    const auto publisher = sessions().lease_publisher(session, topic).entry;
    for (Sequence s = 1; s <= 5; ++s) EXPECT_EQ(client.publish(publisher), s);
    // Entries of both are there: the first holder's may come behind the second one's.
    const auto other = sessions().lease_subscriber(session, topic, {}).lease;
    const auto first = sessions().lease_subscriber(session, topic, {.name = "s"});
    auto before = keeper.all();
    sessions().release(session, other);
    const auto second = sessions().lease_subscriber(session, topic, {.name = "s", .steal = true});
    EXPECT_LT(second.entry.entry, first.entry.entry);
    const base::Mapping mapping(second.durable.page, base::Access::read_write,
                                layout::cursor_page_bytes);
    auto& page = *reinterpret_cast<layout::CursorPage*>(mapping.bytes().data());
    page.cursor.store_release(3);
    topic.reset();
    // The daemon died before it had forgotten the first one's page.
    auto left = keeper.all();
    left.insert(before.extract("t1.cursor1.s"));
    inherit(std::move(left));
    sessions().release(session, first.lease);
    EXPECT_EQ(page.state.load_acquire(), static_cast<std::uint32_t>(layout::HoldState::live));
    const auto listed = topics().find("a")->subscriptions().list();
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0].record.cursor, 3U);
    EXPECT_TRUE(listed[0].holder);
}

TEST_P(WholeTest, ClosedInOrderItIsOpenAgain) {
    const Client client(*make("a", options()));
    const auto session = life->open_session();
    const auto publisher = sessions().lease_publisher(session, topics().find("a")).entry;
    // Several times: whoever carries the events on must never see it closed.
    for (Sequence s = 1; s <= 20; ++s) {
        EXPECT_EQ(client.publish(publisher), s);
        if (GetParam() == Retention::disk) {
            ring::SharedWriter writer(client.view, publisher.entry);
            ASSERT_EQ(writer.wait_durable(s, std::chrono::seconds(10)), Durability::durable);
        }
        EXPECT_THAT(topics().close_all(patience), IsEmpty());
        EXPECT_EQ(client.state(), RingState::closed);
        inherit();
        EXPECT_EQ(client.state(), RingState::open);
    }
}

TEST_P(WholeTest, WhoDrainedItDrainsOn) {
    const Client client(*make("a", options()));
    topics().find("a")->set_state(RingState::draining);
    inherit();
    EXPECT_EQ(client.state(), RingState::draining);
    EXPECT_EQ(topics().find("a")->state(), RingState::draining);
}

TEST_P(WholeTest, WhatWasRemovedIsNotThere) {
    const auto topic = make("a", options());
    const Client client(*topic);
    const auto session = life->open_session();
    const auto held = sessions().lease_subscriber(session, topic, {.name = "held"}).lease;
    const auto left = sessions().lease_subscriber(session, topic, {.name = "left"}).lease;
    sessions().release(session, left);
    topics().remove(topic, true);
    sessions().release(session, held);
    EXPECT_THAT(keeper.names(), ElementsAre(StartsWith("s1.")));
    inherit();
    EXPECT_EQ(client.state(), RingState::removed);
    EXPECT_THAT(topics().list("", 10).topics, IsEmpty());
}

TEST_F(InheritanceTest, ANamedPublisherHasItsNameOn) {
    auto topic = make("a", on_disk());
    const Client client(*topic);
    const auto session = life->open_session();
    const auto grant = sessions().lease_publisher(session, topic, false, "clerk");
    topic.reset();
    (void)client.publish(grant.entry, 41);
    inherit();
    (void)client.publish(grant.entry, 42);
    topic = topics().find("a");
    const auto busy =
        refusal([&] { (void)sessions().lease_publisher(session, topic, false, "clerk"); });
    EXPECT_EQ(busy.code(), Errc::busy);
    sessions().release(session, grant.lease);
    const auto again = sessions().lease_publisher(session, topic, false, "clerk");
    EXPECT_EQ(again.entry.id, grant.entry.id);
    EXPECT_EQ(again.entry.last_event, 42U);
}

TEST_F(InheritanceTest, KeepsWhatIsThereAndNothingElse) {
    EXPECT_THAT(keeper.names(), IsEmpty());
    make("a", on_disk());
    EXPECT_THAT(keeper.names(), ElementsAre("t1.books", "t1.readers", "t1.ring"));
    const auto m = make("m", in_memory());
    const auto session = life->open_session();
    EXPECT_THAT(keeper.names(), IsSupersetOf({"t2.books", "t2.readers", "t2.ring"}));
    EXPECT_THAT(keeper.names(), Contains(StartsWith("s1.1000.")));
    const auto grant = sessions().lease_subscriber(session, m, {.name = "s"});
    EXPECT_THAT(keeper.names(), Contains("t2.cursor1.s"));
    sessions().release(session, grant.lease);
    EXPECT_THAT(keeper.names(), Contains("t2.cursor1.s")) << "nothing else knows of it";
    (void)sessions().lease_subscriber(session, m, {.name = "s"});
    EXPECT_THAT(keeper.names(), Contains("t2.cursor2.s"));
    EXPECT_THAT(keeper.names(), Not(Contains("t2.cursor1.s")));
    sessions().release(
        session, sessions().lease_subscriber(session, topics().find("a"), {.name = "s"}).lease);
    for (const Deadline end = patience; topics().find("a")->subscriptions().has_stock();) {
        ASSERT_FALSE(end.passed());
        topics().take_stock();
    }
    EXPECT_THAT(keeper.names(), Not(Contains("t1.cursor1.s"))) << "it is on disk";
    for (int look = 0; look < 2; ++look) topics().look_for_sleepers();
    while (topics().put_to_sleep()) {
    }
    EXPECT_THAT(keeper.names(), Not(Contains(StartsWith("t1.")))) << "it sleeps";
    inherit();
    (void)topics().find("a");
    EXPECT_THAT(keeper.names(), IsSupersetOf({"t3.books", "t3.readers", "t3.ring"}))
        << "under a number of its own";
}

TEST_F(InheritanceTest, WhoDiedMeanwhileIsCleanedUpAfter) {
    const auto topic = make("a", in_memory());
    const Client client(*topic);
    Bystander bystander;
    const auto session = life->open_session(bystander.pid());
    const auto mine = life->open_session();
    const auto publisher = sessions().lease_publisher(session, topic).entry;
    const auto other = sessions().lease_publisher(mine, topic).entry;
    (void)sessions().lease_subscriber(session, topic, {.name = "s"});
    // It dies with an event begun.
    client.view.ring.slot(1).stamp.store_release(
        layout::Stamp::slot(1, layout::SlotState::claimed, publisher.entry).word());
    bystander.end();
    inherit();
    EXPECT_EQ(topics().find("a")->publisher_count(), 2U) << "until its pidfd is looked at";
    life->end_the_dead();
    EXPECT_EQ(topics().find("a")->publisher_count(), 1U);
    EXPECT_EQ(topics().find("a")->subscriber_count(), 0U);
    EXPECT_FALSE(sessions().holder(session));
    EXPECT_TRUE(sessions().holder(mine));
    EXPECT_EQ(client.publish(other), 2U) << "1 was begun, and is none";
    EXPECT_EQ(layout::Stamp(client.view.ring.slot(1).stamp.load_acquire()).slot_state(),
              layout::SlotState::aborted);
}

/// Nobody knows whose it is.
TEST_F(InheritanceTest, WhatAnUnknownSessionHeldIsFree) {
    const auto topic = make("a", in_memory());
    const Client client(*topic);
    const auto session = life->open_session();
    (void)sessions().lease_publisher(session, topic);
    (void)sessions().lease_subscriber(session, topic, {});
    auto left = keeper.all();
    std::erase_if(left, [](const auto& kept) { return kept.first.starts_with('s'); });
    inherit(std::move(left));
    EXPECT_EQ(topics().find("a")->publisher_count(), 0U);
    EXPECT_EQ(topics().find("a")->subscriber_count(), 0U);
    EXPECT_EQ(client.view.ring.publisher(0).id.load_acquire(), 0U);
}

/// Its connection may have ended while there was no daemon: nobody would tell of that later.
TEST_F(InheritanceTest, ASessionThatHoldsNothingEnds) {
    const auto topic = make("a", in_memory());
    const auto idle = life->open_session();
    const auto busy = life->open_session();
    (void)sessions().lease_publisher(busy, topic);
    inherit();
    EXPECT_FALSE(sessions().holder(idle));
    EXPECT_FALSE(life->watched.contains(idle));
    EXPECT_TRUE(sessions().holder(busy));
}

TEST_F(InheritanceTest, ALeaseThatNobodyWasToldOfIsNone) {
    auto topic = make("a", in_memory());
    const auto session = life->open_session();
    const auto whole = sessions().lease_publisher(session, topic);
    Books books(topic->books().fd()); // as the daemon was about to write into the ring
    books.raise_last_publisher(77);
    books.book(Books::Role::publisher, 1, {.session = session, .lease = 55, .mark = 77});
    // Reaped, and not struck out.
    const auto reaped = sessions().lease_publisher(session, topic);
    topic.reset();
    ASSERT_EQ(reaped.entry.entry, 1U) << "the daemon knew better";
    inherit();
    topic = topics().find("a");
    EXPECT_EQ(topic->publisher_count(), 2U);
    // The entry as it was booked, and another id in the ring.
    Books(topic->books().fd())
        .book(Books::Role::publisher, 1, {.session = session, .lease = 56, .mark = 1'000});
    topic.reset();
    inherit();
    topic = topics().find("a");
    EXPECT_EQ(topic->publisher_count(), 1U);
    EXPECT_FALSE(topic->books().look(Books::Role::publisher, 1));
    EXPECT_TRUE(topic->books().look(Books::Role::publisher, whole.entry.entry));
    EXPECT_EQ(sessions().lease_publisher(session, topic).entry.entry, 1U);
}

TEST_F(InheritanceTest, ASubscriberThatNobodyWasToldOfIsLetGoByItsSession) {
    auto topic = make("a", in_memory());
    const auto session = life->open_session();
    const auto publisher = sessions().lease_publisher(session, topic);
    Books(topic->books().fd())
        .book(Books::Role::subscriber, 3, {.session = session, .lease = 55, .mark = 1 << 20});
    topic.reset();
    inherit();
    topic = topics().find("a");
    EXPECT_EQ(topic->subscriber_count(), 1U);
    sessions().keep(session, {publisher.lease}); // what a client says first when it is back
    EXPECT_EQ(topic->subscriber_count(), 0U);
    EXPECT_EQ(topic->publisher_count(), 1U);
    EXPECT_GT(sessions().lease_subscriber(session, topic, {}).lease, 55U);
}

} // namespace
} // namespace shmbus::registry
