// The requests about topics, over a real socket against a real daemon.
#include "base/mapping.hpp"
#include "control/session.hpp"
#include "daemon/client_process.hpp"
#include "daemon/refusal.hpp"
#include "ring/view.hpp"
#include "support/daemon_process.hpp"

#include <future>
#include <gmock/gmock.h>
#include <unistd.h>

namespace shmbus::control {
namespace {

using namespace std::chrono_literals;
using test::refusal;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

class ControlTest : public testing::Test {
  protected:
    test::DaemonProcess daemon;
    std::shared_ptr<Session> session = Session::connect(daemon.socket(), 30s);
    const TopicOptions small{.capacity = 64,
                             .slot_bytes = 128,
                             .max_event = 64,
                             .pool_bytes = 0,
                             .retention = Retention::memory};
};

TEST_F(ControlTest, CreatesAndDescribes) {
    EXPECT_TRUE(session->create_topic("orders", small, false));
    const auto info = session->describe_topic("orders");
    EXPECT_EQ(info.name, "orders");
    EXPECT_THAT(info.uuid,
                testing::MatchesRegex("[0-9a-f]+-[0-9a-f]+-4[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"));
    EXPECT_EQ(info.options, small);
    EXPECT_EQ(info.first, 1U);
    EXPECT_EQ(info.head, 0U);
    EXPECT_EQ(info.creator_uid, ::geteuid());
    EXPECT_GT(info.memory_bytes, 64U * 128U);
    EXPECT_FALSE(info.draining);
}

TEST_F(ControlTest, RefusesToCreate) {
    session->create_topic("orders", small, false);
    EXPECT_EQ(refusal([&] { session->create_topic("orders", small, false); }).code,
              Errc::topic_exists);
    EXPECT_FALSE(session->create_topic("orders", small, true));
    const auto differs =
        refusal([&] { session->create_topic("orders", {.retention = Retention::memory}, true); });
    EXPECT_EQ(differs.code, Errc::different_options);
    EXPECT_THAT(differs.message, HasSubstr("capacity is 64, not 16384"));
    EXPECT_EQ(refusal([&] { session->create_topic("a/b", small, true); }).code, Errc::bad_argument);
    EXPECT_EQ(refusal([&] {
                  session->create_topic("x", {.capacity = 3, .retention = Retention::memory}, true);
              }).code,
              Errc::bad_argument);
    EXPECT_EQ(refusal([&] {
                  session->create_topic(
                      "x", {.capacity = 1U << 24U, .retention = Retention::memory}, true);
              }).code,
              Errc::limit);
    EXPECT_THAT(session->list_topics(), SizeIs(1));
}

TEST_F(ControlTest, RefusesWhatIsNotThere) {
    const auto missing = [](auto work) { EXPECT_EQ(refusal(work).code, Errc::no_such_topic); };
    missing([&] { (void)session->describe_topic("x"); });
    missing([&] { session->remove_topic("x", true); });
    missing([&] { session->drain_topic("x", false, 0s); });
    missing([&] { session->drain_topic("x", true, 0s); });
    missing([&] { (void)session->open_publisher("x"); });
    missing([&] { (void)session->open_subscriber("x"); });
    EXPECT_EQ(refusal([&] { (void)session->describe_topic(std::string(1000, 'x')); }).code,
              Errc::bad_argument);
}

TEST_F(ControlTest, ListsMoreTopicsThanOneAnswerHolds) {
    std::vector<std::string> names;
    for (int i = 100; i < 250; ++i) {
        names.push_back("topic-" + std::to_string(i) + std::string(100, 'x'));
        session->create_topic(names.back(), small, false);
    }
    std::vector<std::string> listed;
    for (const auto& topic : session->list_topics()) listed.push_back(topic.name);
    EXPECT_EQ(listed, names);
}

TEST_F(ControlTest, NamesPeers) {
    session->create_topic("orders", small, false);
    const auto publisher = session->open_publisher("orders");
    const auto subscriber = session->open_subscriber("orders");
    const auto info = session->describe_topic("orders");
    EXPECT_EQ(info.publisher_count, 1U);
    EXPECT_EQ(info.subscriber_count, 1U);
    ASSERT_THAT(info.publishers, SizeIs(1));
    ASSERT_THAT(info.subscribers, SizeIs(1));
    EXPECT_EQ(info.publishers[0].pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(info.subscribers[0].uid, ::geteuid());
    EXPECT_FALSE(info.publishers[0].command.empty());
    EXPECT_THAT(session->list_topics().at(0).publishers, SizeIs(0));
    EXPECT_EQ(session->list_topics().at(0).publisher_count, 1U);
    EXPECT_EQ(refusal([&] { session->remove_topic("orders", false); }).code, Errc::busy);
}

TEST_F(ControlTest, DescribesAFullTopicInOneMessage) {
    session->create_topic("orders", small, false);
    std::vector<Lease> leases;
    for (int i = 0; i < 256; ++i) {
        leases.push_back(session->open_publisher("orders"));
        leases.push_back(session->open_subscriber("orders"));
    }
    const auto full = refusal([&] { (void)session->open_publisher("orders"); });
    EXPECT_EQ(full.code, Errc::limit);
    EXPECT_THAT(full.message, HasSubstr("shmbus topic info orders"));
    EXPECT_EQ(refusal([&] { (void)session->open_subscriber("orders"); }).code, Errc::limit);
    EXPECT_THAT(session->describe_topic("orders").subscribers, SizeIs(256));
    leases.front().release();
    EXPECT_NO_THROW(leases.front() = session->open_publisher("orders"));
}

/// A client's view of a topic that it has a lease of.
class Mapped {
  public:
    Mapped(const Lease& lease, base::Access access)
        : ring_(lease.ring, access, layout::geometry_of(lease.parameters).total_bytes),
          readers_(lease.readers,
                   access == base::Access::read_only ? base::Access::read_write
                                                     : base::Access::read_only,
                   layout::readers_geometry_of(lease.parameters).total_bytes) {
        ring::check_ring(ring_.bytes(), lease.parameters, lease.uuid);
        ring::check_readers(readers_.bytes(), lease.parameters, lease.uuid);
        topic = {ring::RingView(ring_.bytes(), lease.parameters),
                 ring::ReadersView(readers_.bytes(), lease.parameters)};
    }
    [[nodiscard]] layout::RingState state() const {
        return static_cast<layout::RingState>(topic.ring.header().state.load_acquire());
    }
    ring::Topic topic;

  private:
    base::Mapping ring_;
    base::Mapping readers_;
};

class DrainTest : public ControlTest {
  protected:
    DrainTest() {
        session->create_topic("orders", small, false);
        publisher = session->open_publisher("orders");
        subscriber = session->open_subscriber("orders");
        writable.emplace(publisher, base::Access::read_write);
        readable.emplace(subscriber, base::Access::read_only);
        writable->topic.ring.header().tail.store_release(4); // three events
        auto& entry = readable->topic.readers.entry(subscriber.entry);
        entry.attach.store_release(layout::attach_word(subscriber.token, layout::ReaderMode::gate));
    }
    void acknowledge(Sequence sequence) {
        readable->topic.readers.entry(subscriber.entry).cursor.store_release(sequence);
    }
    Lease publisher;
    Lease subscriber;
    std::optional<Mapped> writable;
    std::optional<Mapped> readable;
};

TEST_F(DrainTest, WaitsForTheLastAcknowledgement) {
    acknowledge(2);
    EXPECT_FALSE(session->drain_topic("orders", false, 20ms));
    EXPECT_EQ(readable->state(), layout::RingState::draining);
    EXPECT_TRUE(session->describe_topic("orders").draining);
    auto drained =
        std::async(std::launch::async, [&] { return session->drain_topic("orders", false, 30s); });
    acknowledge(3);
    EXPECT_TRUE(drained.get());
}

TEST_F(DrainTest, IsUndone) {
    EXPECT_FALSE(session->drain_topic("orders", false, 0s));
    auto other = Session::connect(daemon.socket(), 30s);
    auto drained = std::async(std::launch::async, [&] {
        return refusal([&] { session->drain_topic("orders", false, 30s); });
    });
    daemon.process().wait_for_log("drains topic orders");
    // The waiting call may not have come yet; then it drains anew, and is undone the next time.
    while (drained.wait_for(20ms) != std::future_status::ready)
        other->drain_topic("orders", true, 0s);
    EXPECT_EQ(drained.get().code, Errc::busy);
    other->drain_topic("orders", true, 0s);
    EXPECT_EQ(readable->state(), layout::RingState::open);
    EXPECT_FALSE(session->describe_topic("orders").draining);
}

TEST_F(DrainTest, EndsWithTheTopic) {
    auto other = Session::connect(daemon.socket(), 30s);
    auto drained = std::async(std::launch::async, [&] {
        return refusal([&] { session->drain_topic("orders", false, 30s); });
    });
    daemon.process().wait_for_log("drains topic orders");
    other->remove_topic("orders", true);
    EXPECT_EQ(drained.get().code, Errc::no_such_topic);
    EXPECT_EQ(readable->state(), layout::RingState::removed);
}

TEST_F(DrainTest, IsNotHeldUpByASubscriberThatIsGone) {
    auto drained =
        std::async(std::launch::async, [&] { return session->drain_topic("orders", false, 30s); });
    daemon.process().wait_for_log("drains topic orders");
    subscriber.release();
    EXPECT_TRUE(drained.get());
}

TEST_F(DrainTest, TheDaemonsEndClosesEveryRing) {
    daemon.kill(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0);
    EXPECT_EQ(readable->state(), layout::RingState::closed);
    EXPECT_FALSE(std::filesystem::exists(daemon.socket()));
}

/// Only root can be somebody else.
class PolicyOverSocketTest : public ControlTest {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root";
        std::filesystem::permissions(daemon.directory(), std::filesystem::perms(0755));
    }
    const test::ClientProcess::User nobody{65534, {65534}};
};

TEST_F(PolicyOverSocketTest, RefusesStrangersWithTheRemedy) {
    const test::ClientProcess client(daemon.socket(), &nobody);
    EXPECT_THAT(client.greeting(), StartsWith("error permission user 65534"));
    EXPECT_THAT(client.greeting(), HasSubstr("usermod -aG shmbus"));
}

} // namespace
} // namespace shmbus::control
