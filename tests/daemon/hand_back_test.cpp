// A daemon was killed and nobody kept what it had: clients hand it back, and the next one believes as much
// of it as can be true.
#include "daemon/daemon_life.hpp"

#include "daemon/registry/hand_back.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

namespace shmbus::registry {
namespace {

namespace fs = std::filesystem;
using layout::HoldState;
using layout::RingState;
using testing::HasSubstr;

class HandBackTest : public StorageFixture {
  protected:
    HandBackTest() { begin(); }
    /// The next one, after the one before was killed. This process is there with a session.
    void begin() {
        hand_back.reset();
        life.reset();
        life = std::make_unique<Life>(path());
        life->begin();
        hand_back.emplace(life->topics(), life->sessions, life->watching());
        session = life->open_session();
    }
    [[nodiscard]] Registry& topics() const { return life->topics(); }
    [[nodiscard]] Sessions& sessions() const { return life->sessions; }
    std::shared_ptr<Topic> make(const std::string& name, const TopicOptions& options) const {
        topics().create(name, options, false, user);
        return topics().find(name);
    }

    static HandedBack publisher_of(const Client& client, const Topic::PublisherEntry& entry,
                                   const std::string& topic = "a") {
        return {.topic = topic,
                .uuid = client.uuid,
                .publishes = true,
                .entry = entry.entry,
                .mark = entry.id,
                .name = {},
                .ring = Client::copy_of(client.ring),
                .readers = Client::copy_of(client.readers),
                .cursor = {}};
    }
    static HandedBack subscriber_of(const Client& client, const Topic::SubscriberEntry& entry) {
        return {.topic = "a",
                .uuid = client.uuid,
                .entry = entry.entry,
                .mark = entry.token,
                .name = {},
                .ring = Client::copy_of(client.ring),
                .readers = Client::copy_of(client.readers),
                .cursor = {}};
    }
    Sessions::LeaseId take(const HandedBack& what) {
        return hand_back->take(session, what, {user});
    }
    Errc refused(const HandedBack& what) {
        return refusal([&] { (void)take(what); }).code();
    }
    /// As Reader::join() does.
    static void attach(const Client& client, const Topic::SubscriberEntry& entry) {
        client.view.readers.entry(entry.entry)
            .attach.store_release(layout::attach_word(entry.token, layout::ReaderMode::gate));
    }
    static bool is_same(const base::Fd& one, const base::Fd& other) {
        struct stat a {};
        struct stat b {};
        return ::fstat(one.get(), &a) == 0 && ::fstat(other.get(), &b) == 0 && a.st_ino == b.st_ino;
    }
    static std::size_t descriptors() {
        const fs::directory_iterator all("/proc/self/fd");
        return static_cast<std::size_t>(std::distance(fs::begin(all), fs::end(all)));
    }

    std::unique_ptr<Life> life;
    std::optional<HandBack> hand_back;
    SessionId session = 0;
};

/// For both kinds of topics.
class GoesOnTest : public HandBackTest, public testing::WithParamInterface<Retention> {
  protected:
    GoesOnTest() : topic(make("a", options())), client(*topic) {
        publisher = sessions().lease_publisher(session, topic).entry;
        for (Sequence s = 1; s <= 10; ++s) EXPECT_EQ(client.publish(publisher), s);
    }
    /// What is published now is in the ring alone.
    void kill_daemon() {
        topic.reset();
        begin();
        for (Sequence s = 11; s <= 20; ++s) EXPECT_EQ(client.publish(publisher), s);
    }
    [[nodiscard]] static TopicOptions options() {
        return GetParam() == Retention::disk ? on_disk() : in_memory();
    }
    std::shared_ptr<Topic> topic;
    Client client;
    Topic::PublisherEntry publisher{};
};
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

TEST_P(GoesOnTest, NotWithWhatIsWrong) {
    const auto reader = sessions().lease_subscriber(session, topic, {}).entry;
    attach(client, reader);
    kill_daemon();
    (void)take(subscriber_of(client, reader));
    const auto expect_refused = [&](auto change) {
        auto what = publisher_of(client, publisher);
        change(what);
        EXPECT_EQ(refused(what), Errc::bad_argument);
        EXPECT_EQ(client.state(), RingState::open) << "others have it";
        EXPECT_EQ(topics().awake("a")->publisher_count(), 1U);
    };
    expect_refused([](HandedBack& what) { what.entry += 1; });
    expect_refused([](HandedBack& what) { what.entry = 0xffff'ffff; });
    expect_refused([](HandedBack& what) { what.mark += 1; });
    expect_refused([](HandedBack& what) { what.mark = 0; });
    expect_refused([](HandedBack& what) { what.publishes = false; });
    EXPECT_EQ(refused(subscriber_of(client, reader)), Errc::bad_argument) << "twice";
    EXPECT_EQ(topics().awake("a")->subscriber_count(), 1U);
    // Of another process.
    const auto parents = life->open_session(::getppid());
    EXPECT_EQ(refusal([&] {
                  (void)hand_back->take(parents, publisher_of(client, publisher), {user});
              }).code(),
              Errc::bad_argument);
    (void)take(publisher_of(client, publisher));
    EXPECT_EQ(refused(publisher_of(client, publisher)), Errc::bad_argument) << "twice";
    EXPECT_EQ(client.publish(publisher), 21U);
}

TEST_P(GoesOnTest, NotWithWhatIsDamaged) {
    kill_daemon();
    auto what = publisher_of(client, publisher);
    what.uuid[3] ^= 1U;
    EXPECT_THAT(refused(what), testing::AnyOf(Errc::damaged, Errc::no_such_topic));
    EXPECT_EQ(client.state(), RingState::removed) << "nobody will look after it";
    EXPECT_FALSE(topics().awake("a"));
}

TEST_P(GoesOnTest, NotWithForeignReaders) {
    kill_daemon();
    const auto other = make("other", options());
    auto what = publisher_of(client, publisher);
    what.readers = Client::copy_of(other->shared().readers().writable);
    EXPECT_NE(refused(what), Errc{});
    EXPECT_EQ(client.state(), RingState::removed);
    const Client others(*other);
    EXPECT_EQ(others.state(), RingState::open);
    EXPECT_NO_THROW(
        ring::check_readers(others.readers_mapping.bytes(), others.parameters, others.uuid));
}

/// Whoever may read a topic's ring has a descriptor of it.
TEST_P(GoesOnTest, NotWithTheRingOfATopicThatIsThere) {
    const Client others(*make("other", options()));
    const auto entry = sessions().lease_publisher(session, topics().find("other")).entry;
    for (const auto* name : {"other", "unknown", "a"}) {
        auto what = publisher_of(others, entry, name);
        if (std::string(name) == "other") what.entry += 1;
        EXPECT_NE(refused(what), Errc{});
        what.readers = a_pipe();
        EXPECT_NE(refused(what), Errc{});
        EXPECT_EQ(others.state(), RingState::open) << name;
        EXPECT_TRUE(topics().awake("other"));
        EXPECT_FALSE(topics().awake("unknown"));
    }
}

TEST_P(GoesOnTest, NotWhenItWasRemoved) {
    topics().remove(topic, true);
    topic.reset();
    begin();
    EXPECT_EQ(refused(publisher_of(client, publisher)), Errc::no_such_topic);
    EXPECT_EQ(client.state(), RingState::removed);
    EXPECT_FALSE(topics().awake("a"));
}

TEST_P(GoesOnTest, NotWhenItHasBegunAnewMeanwhile) {
    kill_daemon();
    if (GetParam() == Retention::memory)
        make("a", options());
    else
        (void)topics().find("a");
    const Client anew(*topics().awake("a"));
    EXPECT_EQ(refused(publisher_of(client, publisher)), Errc::no_such_topic);
    EXPECT_EQ(client.state(), RingState::removed);
    EXPECT_EQ(anew.state(), RingState::open);
}

/// Any subscriber may have written anything there.
TEST_P(GoesOnTest, WithForgedNumbersOfProcesses) {
    const auto reader = sessions().lease_subscriber(session, topic, {}).entry;
    attach(client, reader);
    kill_daemon();
    for (std::uint32_t e = 10; e < 200; ++e) {
        auto& entry = client.view.readers.entry(e);
        constexpr std::array<std::uint32_t, 4> forged{0xffff'ffff, 0x8000'0000, 0x7fff'ffff, 1};
        entry.pid.store_release(forged[e % forged.size()]);
        entry.attach.store_release(~std::uint64_t{0});
    }
    (void)take(publisher_of(client, publisher));
    (void)take(subscriber_of(client, reader));
    EXPECT_EQ(client.state(), RingState::open);
    EXPECT_EQ(client.publish(publisher), 21U);
}

TEST_P(GoesOnTest, NoDescriptorStaysOpen) {
    kill_daemon();
    const auto before = descriptors();
    for (int i = 0; i < 3; ++i) {
        auto what = publisher_of(client, publisher);
        what.uuid[3] ^= 1U;
        EXPECT_NE(refused(what), Errc{});
        what.ring = a_pipe();
        EXPECT_NE(refused(what), Errc{});
    }
    EXPECT_EQ(descriptors(), before);
}

// ---- what is no memory of this bus ---------------------------------------------------------------

class GarbageTest : public HandBackTest {
  protected:
    GarbageTest() {
        publisher = sessions().lease_publisher(session, make("a", in_memory())).entry;
        client.emplace(*topics().find("a"));
        begin();
    }
    std::optional<Client> client;
    Topic::PublisherEntry publisher{};
};

TEST_F(GarbageTest, IsNoRing) {
    const auto size = base::sealed_size(client->ring, "ring");
    std::vector<base::Fd> garbage;
    garbage.emplace_back();
    garbage.push_back(a_pipe());
    garbage.emplace_back(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    garbage.emplace_back(::memfd_create("unsealed", MFD_CLOEXEC));
    garbage.push_back(base::make_memfd("empty", 0, 0));
    garbage.push_back(base::make_memfd("small", 100, 0));
    garbage.push_back(base::make_memfd("zeros", size, 0));
    garbage.push_back(Client::copy_of(client->readers));
    for (auto& fd : garbage) {
        auto what = publisher_of(*client, publisher);
        std::swap(what.ring, fd);
        EXPECT_EQ(refused(what), Errc::damaged);
        EXPECT_FALSE(topics().awake("a"));
    }
    EXPECT_EQ(client->state(), RingState::open);
    EXPECT_NO_THROW((void)take(publisher_of(*client, publisher)));
}

TEST_F(GarbageTest, AreNoReaders) {
    const auto size = base::sealed_size(client->readers, "readers");
    std::vector<base::Fd> garbage;
    garbage.emplace_back();
    garbage.push_back(a_pipe());
    garbage.emplace_back(::memfd_create("unsealed", MFD_CLOEXEC));
    garbage.push_back(base::make_memfd("small", size - 4096, 0));
    garbage.push_back(Client::copy_of(client->ring));
    for (auto& fd : garbage) {
        auto what = publisher_of(*client, publisher);
        std::swap(what.readers, fd);
        EXPECT_EQ(refused(what), Errc::damaged);
        EXPECT_FALSE(topics().awake("a"));
    }
}

TEST_F(GarbageTest, IsNoCursor) {
    auto what = publisher_of(*client, publisher);
    what.cursor = a_pipe();
    what.name = "s";
    EXPECT_NE(refused(what), Errc{});
    ASSERT_TRUE(topics().awake("a")) << "the topic has nothing to do with it";
    EXPECT_EQ(client->state(), RingState::open);
    EXPECT_TRUE(topics().awake("a")->subscriptions().list().empty());
}

TEST_F(GarbageTest, OrSomebodyElses) {
    if (::geteuid() == 0) {
        ASSERT_EQ(::fchown(client->ring.get(), 65'534, 65'534), 0);
    } else {
        client->ring = base::Fd(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    }
    EXPECT_EQ(refused(publisher_of(*client, publisher)), Errc::damaged);
    EXPECT_EQ(client->state(), RingState::open) << "it is none of ours to be ended";
}

TEST_F(GarbageTest, OrHasNoName) {
    for (const std::string name : {"", "../a", "a/b", "-"})
        EXPECT_EQ(refused(publisher_of(*client, publisher, name)), Errc::bad_argument) << name;
}

} // namespace
} // namespace shmbus::registry
