#include "tools/output.hpp"
#include "tools/peers.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace shmbus::tools {
namespace {

TEST(Table, LinesUp) {
    Table table({{"NAME"}, {"N", Table::Align::right}, {"STATE"}});
    table.add({"a", "12345", "open"});
    table.add({"longer", "1", ""});
    EXPECT_EQ(table.text(false), "NAME        N  STATE\n"
                                 "a       12345  open\n"
                                 "longer      1\n");
    EXPECT_EQ(table.text(true).substr(0, 4), "\x1b[1m");
}

TEST(Counted, KnowsOne) {
    EXPECT_EQ(counted(0, "event"), "0 events");
    EXPECT_EQ(counted(1, "event"), "1 event");
    EXPECT_EQ(counted(2, "event"), "2 events");
}

PeerInfo peer(std::uint32_t pid, Sequence cursor, bool lossy = false) {
    return {.pid = pid, .uid = 0, .command = "s\x1bh", .cursor = cursor, .lossy = lossy};
}

TopicInfo topic_with(std::vector<PeerInfo> subscribers, FullPolicy full = FullPolicy::block) {
    TopicInfo topic;
    topic.options.full = full;
    topic.options.retention = Retention::memory;
    topic.first = 91;
    topic.head = 100;
    topic.subscribers = std::move(subscribers);
    return topic;
}

TEST(Gate, IsTheSlowestThatIsWaitedFor) {
    const std::vector<PeerInfo> peers{peer(1, 99), peer(2, 95), peer(3, 10, true)};
    const TopicInfo topic = topic_with(peers);
    const PeerInfo* const gate = slowest_gate(topic);
    ASSERT_NE(gate, nullptr);
    EXPECT_EQ(describe(*gate), "pid 2 (s\\x1bh)");
    EXPECT_EQ(lag_of(topic, *gate), 5U);
    EXPECT_EQ(slowest_gate(topic_with({peers[2]})), nullptr);
    EXPECT_EQ(slowest_gate(topic_with({})), nullptr);
    EXPECT_EQ(slowest_gate(topic_with(peers, FullPolicy::drop_oldest)), nullptr);
}

TEST(Holdup, IsTheSlowestOrThePublisherThatItWaitsFor) {
    EXPECT_EQ(holdup_of(topic_with({})), "");
    TopicInfo topic = topic_with({peer(1, 99), peer(2, 95)});
    EXPECT_EQ(holdup_of(topic), "pid 2 (s\\x1bh) has 5 events to acknowledge");
    topic.subscribers[1].waits_for_pid = 7;
    EXPECT_EQ(holdup_of(topic), "pid 2 (s\\x1bh) has 5 events to acknowledge") << "7 is gone";
    topic.publishers = {peer(6, 0), peer(7, 0)};
    EXPECT_EQ(holdup_of(topic),
              "pid 7 (s\\x1bh) has begun event 96 and not finished it: is it stopped?");
}

TEST(Topic, HasALagOnlyWhereItsHeadMakesSense) {
    TopicInfo topic = topic_with({peer(1, 97)});
    const PeerInfo& subscriber = topic.subscribers[0];
    EXPECT_EQ(lag_shown(topic, subscriber), "3");
    EXPECT_EQ(json_of(topic, true)["subscribers"][0]["lag"], 3U);
    for (const Sequence scribble : {~Sequence{0}, ~Sequence{0} - 1, Sequence{1} << 63U}) {
        topic.head = scribble;
        EXPECT_EQ(lag_of(topic, subscriber), std::nullopt);
        EXPECT_EQ(lag_shown(topic, subscriber), "?");
        EXPECT_EQ(holdup_of(topic), "pid 1 (s\\x1bh) has events to acknowledge");
        EXPECT_TRUE(json_of(topic, true)["subscribers"][0]["lag"].is_null());
    }
    topic.head = 100;
    for (const Sequence scribble : {~Sequence{0}, Sequence{1} << 63U}) {
        topic.subscribers[0].cursor = scribble;
        EXPECT_EQ(lag_shown(topic, subscriber), "0");
    }
}

TEST(Topic, CountsItsEvents) {
    TopicInfo topic = topic_with({peer(1, 120)});
    EXPECT_EQ(events_kept(topic), 10U);
    EXPECT_EQ(lag_of(topic, topic.subscribers[0]), 0U) << "it read on while the daemon looked";
    topic.first = 1;
    topic.head = 0;
    EXPECT_EQ(events_kept(topic), 0U);
}

} // namespace
} // namespace shmbus::tools
