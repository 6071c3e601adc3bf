// What clients hand back is believed as far as it can be true; all else is refused, and harms nobody.
#include "daemon/hand_back_fixture.hpp"
#include "support/descriptors.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

namespace shmbus::registry {
namespace {

using namespace std::chrono_literals;
using layout::RingState;
using test::descriptors;

using RefusedTest = TopicHandBackFixture;
INSTANTIATE_TEST_SUITE_P(Topics, RefusedTest, testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(RefusedTest, NotWithWhatIsWrong) {
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

TEST_P(RefusedTest, NotWithWhatIsDamaged) {
    kill_daemon();
    auto what = publisher_of(client, publisher);
    what.uuid[3] ^= 1U;
    EXPECT_THAT(refused(what), testing::AnyOf(Errc::damaged, Errc::no_such_topic));
    EXPECT_EQ(client.state(), RingState::removed) << "nobody will look after it";
    EXPECT_FALSE(topics().awake("a"));
}

TEST_P(RefusedTest, NotWithForeignReaders) {
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
TEST_P(RefusedTest, NotWithTheRingOfATopicThatIsThere) {
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

TEST_P(RefusedTest, NotWhenItWasRemoved) {
    topics().remove(topic, true);
    topic.reset();
    begin();
    EXPECT_EQ(refused(publisher_of(client, publisher)), Errc::no_such_topic);
    EXPECT_EQ(client.state(), RingState::removed);
    EXPECT_FALSE(topics().awake("a"));
}

TEST_P(RefusedTest, NotWhenItHasBegunAnewMeanwhile) {
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
TEST_P(RefusedTest, WithForgedNumbersOfProcesses) {
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

TEST_P(RefusedTest, NotFromWhoMayNotPublish) {
    const auto reader = sessions().lease_subscriber(session, topic, {}).entry;
    attach(client, reader);
    kill_daemon();
    const HandBack::Owner not_by_it{user, true, false};
    EXPECT_EQ(refusal([&] {
                  (void)hand_back->take(session, subscriber_of(client, reader), not_by_it);
              }).code(),
              Errc::permission);
    EXPECT_FALSE(topics().awake("a"));
}

TEST_P(RefusedTest, NotWhenOthersMayHaveMadeItUpMeanwhile) {
    kill_daemon();
    for (const Deadline end(30s); topics().may_be_handed_back();) ASSERT_FALSE(end.passed());
    EXPECT_EQ(refusal([&] {
                  (void)hand_back->take(session, publisher_of(client, publisher), {user});
              }).code(),
              Errc::no_such_topic);
    EXPECT_FALSE(topics().awake("a"));
}

TEST_P(RefusedTest, LateOnABusOfItsOwn) {
    kill_daemon();
    for (const Deadline end(30s); topics().may_be_handed_back();) ASSERT_FALSE(end.passed());
    EXPECT_NO_THROW((void)take(publisher_of(client, publisher)));
    EXPECT_EQ(client.publish(publisher), 21U);
}

TEST_F(HandBackFixture, NotWhatIsFarAheadOfItsDisk) {
    const auto publisher = sessions().lease_publisher(session, make("a", on_disk())).entry;
    const Client client(*topics().find("a"));
    EXPECT_EQ(client.publish(publisher), 1U);
    begin();
    client.view.ring.header().tail.store_release(Sequence{1} << 56U);
    EXPECT_EQ(refused(publisher_of(client, publisher)), Errc::damaged);
}

TEST_F(HandBackFixture, NotWhatIsAllOnDisk) {
    const auto [lease, entry] = sessions().lease_publisher(session, make("a", on_disk()));
    const Client client(*topics().find("a"));
    EXPECT_EQ(client.publish(entry), 1U);
    sessions().release(session, lease);
    EXPECT_THAT(topics().close_all(30s), testing::IsEmpty());
    begin();
    EXPECT_EQ(refused(publisher_of(client, entry)), Errc::no_such_topic);
    EXPECT_EQ(topics().find("a")->head_hint(), 1U);
}

TEST_P(RefusedTest, NoDescriptorStaysOpen) {
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

class GarbageTest : public HandBackFixture {
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
