// Proves what a member of a group can and cannot break that scribbles over what it maps for writing: its group's
// memory and the topic's readers object; and one that takes events and acknowledges none of them.
//
//   * The daemon lives and answers; the topic's publishers go on.
//   * Another group and another subscription of the topic miss nothing, and come to where they say.
//   * No other durable subscription's cursor moves by what it does, held or not.
//   * Its own group is what it can spoil: what is left of that can be removed, and made again.
#include "base/clock.hpp"
#include "group/table.hpp"
#include "process/child.hpp"
#include "process/inside.hpp"
#include "process/load.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <set>

namespace shmbus::test {

namespace {

std::uint64_t something(Random& random, std::span<std::uint64_t> words, std::size_t at) {
    const auto near = words[at] + random.below(64) - 32;
    switch (random.below(5)) {
    case 0: return random();
    case 1: return words[at] ^ 1ULL << random.below(64);
    case 2: return near;
    case 3:
        return layout::SlotWord(static_cast<std::uint32_t>(random.below(4)),
                                static_cast<layout::SlotPhase>(random.below(3)), near)
            .word();
    default: return words[random.below(words.size())];
    }
}

SubscribeOptions as_member(const char* group, std::chrono::milliseconds ack_wait) {
    return {.start = Start::all(),
            .name = group,
            .group = GroupOptions{.ack_wait = ack_wait, .max_deliver = 0},
            .auto_acknowledge = false};
}

Subscription join_spoiled(Bus& bus) {
    return bus.subscribe("victim", as_member("spoiled", std::chrono::milliseconds(200)));
}

/// scribble_group SOCKET SEED READERS: over its group's memory; over the readers object, too, if READERS is not 0.
SHMBUS_WORKER(scribble_group) {
    Bus bus({.socket = args.text(0)});
    const auto subscription = join_spoiled(bus);
    std::vector<std::span<std::byte>> objects{group_memory(bus, "victim")};
    if (args.number(2) != 0) {
        const auto topic = subscriber_view(bus, "victim");
        objects.emplace_back(reinterpret_cast<std::byte*>(&topic.readers.header()),
                             layout::readers_geometry_of(topic.ring.parameters()).total_bytes);
    }
    Random random(args.number(1));
    say("scribbles");
    for (;;) {
        const auto bytes = objects[random.below(objects.size())];
        const std::span words(reinterpret_cast<std::uint64_t*>(bytes.data()), bytes.size() / 8);
        const auto at = random.below(words.size());
        reinterpret_cast<base::Word64&>(words[at]).store_relaxed(something(random, words, at));
    }
}

/// receive_spoiled SOCKET: in the group that is spoiled, again and again; whatever comes, and whatever becomes of it.
SHMBUS_WORKER(receive_spoiled) {
    Bus bus({.socket = args.text(0)});
    say("ready");
    for (std::uint64_t i = 0;;) {
        try {
            auto subscription = join_spoiled(bus);
            for (int n = 0; n < 200; ++n) {
                auto received = subscription.receive(std::chrono::milliseconds(2));
                const auto* event = std::get_if<Event>(&received);
                if (event == nullptr) continue;
                if (++i % 3 == 0) (void)subscription.nack(*event, std::chrono::milliseconds(1));
                if (i % 3 == 1) (void)subscription.acknowledge(*event);
            }
        } catch (const Error&) { // what it was given to map is damaged already
            continue;
        }
    }
}

/// take_all SOCKET: in that group; keeps as many as it can, and acknowledges none.
SHMBUS_WORKER(take_all) {
    Bus bus({.socket = args.text(0)});
    auto subscription = join_spoiled(bus);
    std::vector<Event> kept(60);
    for (auto& event : kept) {
        auto received = subscription.receive(patience);
        while (!std::holds_alternative<Event>(received)) received = subscription.receive(patience);
        event = std::move(std::get<Event>(received));
    }
    say("keeps");
    for (;;) (void)subscription.receive(std::chrono::milliseconds(10)); // and lets go of none
}

/// come_and_go SOCKET: joins that group, and leaves it, as often as it can.
SHMBUS_WORKER(come_and_go) {
    Bus bus({.socket = args.text(0)});
    say("ready");
    for (;;) (void)join_spoiled(bus);
}

class GroupScribble : public ::testing::TestWithParam<Retention> {
  protected:
    void SetUp() override {
        TopicOptions options{.capacity = 1'024,
                             .slot_bytes = 128,
                             .max_event = 64,
                             .pool_bytes = 0,
                             .evict_after_ms = 200};
        options.retention = GetParam();
        bus_.create_topic("victim", options);
        publisher_.emplace(bus_.publisher("victim", {.timeout = patience}));
        publish(1);
        for (const auto* name : {"left", "held"}) begin_durable(name);
    }
    /// Who must not notice anything.
    void begin_others() {
        other_.emplace(bus_.subscribe("victim", as_member("other", std::chrono::seconds(30))));
        plain_.emplace(bus_.subscribe("victim", {.start = Start::all()}));
    }
    void publish(std::uint64_t count) {
        for (; count != 0; --count) {
            const auto key = "key " + std::to_string(++published_ % 50);
            ASSERT_TRUE(publisher_->publish(as_bytes("x"), {.key = key, .id = published_}));
        }
    }
    /// It has come to event 1, and stays there.
    void begin_durable(const char* name) {
        held_.emplace(bus_.subscribe(
            "victim",
            {.start = Start::all(), .name = name, .lossy = GetParam() == Retention::memory}));
        auto received = held_->receive(patience);
        ASSERT_TRUE(std::holds_alternative<Event>(received));
        held_->acknowledge(std::get<Event>(received));
    }
    void start(const char* worker, std::vector<std::string> args, const char* says) {
        args.insert(args.begin(), daemon_.socket());
        spoilers_.push_back(Child::worker(worker, args));
        ASSERT_EQ(spoilers_.back().hear(), says);
    }
    void kill_spoilers() {
        for (auto& spoiler : spoilers_) {
            spoiler.kill(SIGKILL);
            EXPECT_EQ(spoiler.wait(), -SIGKILL) << "it was there all the time";
        }
        spoilers_.clear();
    }
    /// All that was published, once; of the plain subscription in order.
    void expect_all_come() {
        for (; plain_seen_ < published_; ++plain_seen_) {
            auto received = plain_->receive(patience);
            ASSERT_TRUE(std::holds_alternative<Event>(received));
            ASSERT_EQ(std::get<Event>(received).id(), plain_seen_ + 1);
        }
        while (other_seen_.size() < published_) {
            auto received = other_->receive(patience);
            ASSERT_TRUE(std::holds_alternative<Event>(received));
            const auto& event = std::get<Event>(received);
            ASSERT_EQ(other_->acknowledge(event), Acknowledged::done);
            ASSERT_EQ(event.attempt(), 1U);
            ASSERT_TRUE(other_seen_.insert(event.id()).second) << event.id();
        }
    }
    std::map<std::string, SubscriptionInfo> subscriptions() {
        std::map<std::string, SubscriptionInfo> all;
        for (auto& one : bus_.subscriptions("victim")) all.emplace(one.name, std::move(one));
        return all;
    }
    void expect_durable_are_where_they_were() {
        auto all = subscriptions();
        for (const auto* name : {"left", "held"}) EXPECT_EQ(all.at(name).cursor, Sequence{1});
        EXPECT_LE(all.at("spoiled").cursor.value_or(0), published_);
    }
    /// Its memory goes with its last member, or at once.
    void expect_works_anew() {
        bus_.remove_subscription("victim", "spoiled", true);
        auto member = join_spoiled(bus_);
        publish(1);
        for (;;) {
            auto received = member.receive(patience);
            if (std::holds_alternative<Gap>(received)) continue; // what was before
            ASSERT_TRUE(std::holds_alternative<Event>(received));
            const auto& event = std::get<Event>(received);
            ASSERT_EQ(member.acknowledge(event), Acknowledged::done);
            if (event.id() == published_) break;
        }
        bus_.remove_subscription("victim", "spoiled", true);
    }

    static constexpr int rounds = 5;
    [[nodiscard]] static std::uint64_t longest_ns() {
        return long_form() ? 3'000'000'000 : 300'000'000;
    }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--state-dir", state_.path().string()}};
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    std::optional<Publisher> publisher_;
    std::uint64_t published_ = 0;
    std::optional<Subscription> held_;
    std::optional<Subscription> other_;
    std::optional<Subscription> plain_;
    std::set<std::uint64_t> other_seen_;
    std::uint64_t plain_seen_ = 0;
    std::vector<Child> spoilers_;
};

INSTANTIATE_TEST_SUITE_P(Topics, GroupScribble, testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(GroupScribble, OverItsGroupsMemory) {
    begin_others();
    for (int round = 0; round < rounds && !HasFailure(); ++round) {
        start("receive_spoiled", {}, "ready");
        start("scribble_group", {std::to_string(seed() + static_cast<unsigned>(round)), "0"},
              "scribbles");
        const auto until = base::monotonic_ns() + longest_ns();
        while (base::monotonic_ns() < until && !HasFailure()) {
            publish(50);
            expect_all_come();
            expect_durable_are_where_they_were();
        }
        kill_spoilers();
        expect_works_anew();
    }
    expect_all_come();
    (void)other_->receive(Deadline::now()); // says how far it is
    EXPECT_EQ(subscriptions().at("other").cursor, Sequence{published_});
    EXPECT_TRUE(daemon_.process().is_running());
    std::cout << published_ << " events\n";
}

/// With which others of the topic can be revoked; afterwards it is as good as new.
TEST_P(GroupScribble, OverTheReadersObjectToo) {
    for (int round = 0; round < rounds && !HasFailure(); ++round) {
        start("receive_spoiled", {}, "ready");
        start("scribble_group", {std::to_string(seed() + static_cast<unsigned>(round)), "1"},
              "scribbles");
        const auto until = base::monotonic_ns() + longest_ns();
        while (base::monotonic_ns() < until && !HasFailure()) {
            EXPECT_EQ(bus_.topic("victim").name, "victim");
            expect_durable_are_where_they_were();
        }
        kill_spoilers();
        publish(50);
    }
    const Deadline deadline = patience; // until the daemon knows
    while (bus_.topic("victim").subscriber_count > 1) ASSERT_FALSE(deadline.passed());
    expect_works_anew();
    begin_others();
    publish(50);
    EXPECT_TRUE(daemon_.process().is_running());
}

TEST_P(GroupScribble, WhoAcknowledgesNothingHoldsUpItsOwnGroupAlone) {
    begin_others();
    start("come_and_go", {}, "ready");
    publish(500);
    start("take_all", {}, "keeps");
    for (int i = 0; i < 40 && !HasFailure(); ++i) {
        publish(100);
        expect_all_come();
    }
    expect_durable_are_where_they_were();
    kill_spoilers();
    EXPECT_TRUE(daemon_.process().is_running());
    if (GetParam() == Retention::memory) return; // its ring has gone on
    auto member = join_spoiled(bus_);
    std::set<std::uint64_t> seen;
    while (seen.size() < published_) {
        auto received = member.receive(patience);
        ASSERT_TRUE(std::holds_alternative<Event>(received));
        const auto& event = std::get<Event>(received);
        if (member.acknowledge(event) == Acknowledged::done) seen.insert(event.id());
    }
}

} // namespace

} // namespace shmbus::test
