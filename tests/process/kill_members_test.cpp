// Proves what a group promises while its members are killed with SIGKILL, stopped, leave and join at any moment, and
// a publisher publishes all the time: every event is acknowledged by one member, those of a key in order, and none is
// received again but those that were in the hands of one who was killed, had left, or was stopped for too long.
//
// What members do is on record outside of them (member_log.hpp), and looked at when all is over.
//
// 1,000 kills, stops and leaves with --long, else 40; a member joins for each that is gone. Once with a topic in
// memory, and once with one on disk, whose ring is small: most of what members read anew is in files.
#include "base/clock.hpp"
#include "process/child.hpp"
#include "process/load.hpp"
#include "process/member_log.hpp"
#include "process/steady.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <iostream>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t keys = 10'000;
constexpr std::uint32_t events_per_ms = 8;
constexpr std::size_t full_group = 8;
constexpr std::chrono::milliseconds ack_wait = 1s;
constexpr std::uint64_t ms = 1'000'000; // ns

/// Which key event s has.
std::uint32_t key_of(Sequence s) { return static_cast<std::uint32_t>(Random(s).below(keys)); }

/// publisher SOCKET [3: not 0 when it is to end]
SHMBUS_WORKER(publisher) {
    const auto stop = SharedCounters::inherited(3);
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("events", {.timeout = patience});
    Sequence last = 0;
    for (std::uint64_t next = base::monotonic_ns(); stop[0] == 0; next += ms) {
        pass_time_until(next); // the pace
        for (std::uint32_t i = 0; i < events_per_ms; ++i) {
            const auto key = std::to_string(key_of(++last));
            const auto result = publisher.publish("event", {.key = key, .id = last});
            if (!result) throw std::runtime_error(name_of(result.outcome));
            if (result.sequence != last) throw std::runtime_error("a sequence was left out");
        }
    }
    say("published " + std::to_string(last));
    return 0;
}

/// What a member has in hand, and acknowledges after a while, in any order.
class Hands {
  public:
    Hands(const MemberLog& log, std::uint32_t member, std::uint64_t seed)
        : log_(log), member_(member), random_(seed) {}

    [[nodiscard]] bool full() const { return held_.size() >= most; }
    void take(Event event, std::uint64_t since_ns) {
        const Sequence s = event.sequence();
        if (event.key() != std::to_string(key_of(s)) || event.id() != s || event.text() != "event")
            throw std::runtime_error("an event is another one");
        log_.add({Deed::received, member_, s, event.attempt(), since_ns});
        const std::uint64_t handling = random_.below(2) == 0 ? 0 : random_.below(12 * ms);
        held_.push_back({s, since_ns, base::monotonic_ns() + handling, std::move(event)});
        if (random_.below(2) == 0) held_.back().event.release();
    }
    void acknowledge_due(Subscription& subscription) {
        const std::uint64_t now = base::monotonic_ns();
        for (std::size_t i = 0; i < held_.size();) {
            if (held_[i].until > now) {
                ++i;
                continue;
            }
            const Held held = std::exchange(held_[i], std::move(held_.back()));
            held_.pop_back();
            log_.add({Deed::acknowledging, member_, held.sequence});
            const auto outcome = subscription.acknowledge(held.sequence);
            log_.add({outcome == Acknowledged::done ? Deed::done : Deed::not_held, member_,
                      held.sequence, 0, held.since_ns});
        }
    }
    /// For how long there is nothing to do but receive.
    [[nodiscard]] std::chrono::nanoseconds rest() const {
        const std::uint64_t now = base::monotonic_ns();
        std::uint64_t until = now + 20 * ms;
        for (const auto& held : held_) until = std::min(until, std::max(held.until, now));
        return std::chrono::nanoseconds(until - now);
    }

  private:
    static constexpr std::size_t most = 16;
    struct Held {
        Sequence sequence;
        std::uint64_t since_ns;
        std::uint64_t until;
        Event event;
    };
    const MemberLog& log_;
    std::uint32_t member_;
    Random random_;
    std::vector<Held> held_;
};

/// member SOCKET NUMBER SEED [3: log, 4: by number: not 0 when it is to leave, and the ms it keeps its events then]
SHMBUS_WORKER(member) {
    const auto log = MemberLog::inherited(3);
    const auto orders = SharedCounters::inherited(4);
    const auto number = static_cast<std::uint32_t>(args.number(1));
    Bus bus({.socket = args.text(0)});
    Hands hands(log, number, args.number(2));
    {
        auto subscription =
            bus.subscribe("events", {.start = Start::all(),
                                     .name = "workers",
                                     .group = GroupOptions{.ack_wait = ack_wait, .max_deliver = 0},
                                     .auto_acknowledge = false});
        while (orders[number] == 0) {
            hands.acknowledge_due(subscription);
            if (hands.full()) {
                pass_time_until(base::monotonic_ns() +
                                static_cast<std::uint64_t>(hands.rest().count()));
                continue;
            }
            const std::uint64_t since = base::monotonic_ns();
            auto received = subscription.receive(Deadline(hands.rest()));
            if (auto* event = std::get_if<Event>(&received)) {
                hands.take(std::move(*event), since);
            } else if (const auto* nothing = std::get_if<Nothing>(&received)) {
                if (*nothing != Nothing::timed_out && *nothing != Nothing::interrupted)
                    throw std::runtime_error(name_of(*nothing));
            } else {
                const auto& gap = std::get<Gap>(received);
                throw std::runtime_error("a gap from " + std::to_string(gap.first) + " to " +
                                         std::to_string(gap.last) + ": " + name_of(gap.reason));
            }
        }
        log.add({Deed::leaving, number});
    }
    pass_time_until(base::monotonic_ns() + (orders[number] - 1) * ms);
    return 0;
}

class KillMembers : public testing::TestWithParam<Retention> {
  protected:
    KillMembers() {
        TopicOptions options{.slot_bytes = 128, .max_event = 64, .pool_bytes = 0};
        options.retention = GetParam();
        options.sync = Sync::none; // faster
        options.capacity = GetParam() == Retention::memory ? 131'072 : 1'024;
        bus_.create_topic("events", options);
        publisher_ = Child::worker("publisher", {daemon_.socket()}, {stop_.fd()});
    }
    struct Member {
        Child child;
        std::uint32_t number;
        std::uint64_t continue_at = 0; // 0: it is not stopped
    };

    void join() {
        const auto number = ++last_number_;
        members_.push_back(
            {Child::worker("member",
                           {daemon_.socket(), std::to_string(number), std::to_string(random_())},
                           {log_.fd(), orders_.fd()}),
             number});
    }
    Member take_any() {
        std::swap(members_[random_.below(members_.size())], members_.back());
        Member member = std::move(members_.back());
        members_.pop_back();
        return member;
    }
    void kill_one() {
        auto member = take_any(); // perhaps one that is stopped
        log_.add({Deed::killing, member.number});
        member.child.kill(SIGKILL);
        ASSERT_EQ(member.child.wait(), -SIGKILL) << "it found something wrong";
    }
    void let_one_leave() {
        auto member = take_any();
        if (member.continue_at != 0) member.child.kill(SIGCONT);
        orders_[member.number] = 1 + (random_.below(2) == 0 ? 0 : random_.below(300));
        leaving_.push_back(std::move(member));
    }
    void see_off(Deadline deadline) {
        std::erase_if(leaving_, [&](auto& member) {
            if (!member.child.ended(deadline)) return false;
            EXPECT_EQ(member.child.wait(), 0) << "member " << member.number;
            return true;
        });
    }
    void stop_one() {
        auto& member = members_[random_.below(members_.size())];
        if (member.continue_at != 0 || count_stopped() >= members_.size() / 2) return;
        log_.add({Deed::stopping, member.number});
        member.child.kill(SIGSTOP);
        const bool is_long = random_.below(2) == 0; // longer than ack_wait
        member.continue_at = base::monotonic_ns() + (is_long ? 1'100 * ms + random_.below(900 * ms)
                                                             : 1 + random_.below(300 * ms));
    }
    [[nodiscard]] std::size_t count_stopped() const {
        return static_cast<std::size_t>(
            std::count_if(members_.begin(), members_.end(),
                          [](const auto& member) { return member.continue_at != 0; }));
    }
    void disturb() {
        switch (random_.below(5)) {
        case 0:
        case 1: kill_one(); break;
        case 2: let_one_leave(); break;
        default: stop_one(); break;
        }
    }
    void continue_those_due(std::uint64_t now) {
        for (auto& member : members_) {
            if (member.continue_at == 0 || member.continue_at > now) continue;
            member.child.kill(SIGCONT);
            member.continue_at = 0;
        }
    }
    void pass_time(std::uint64_t ns) {
        const std::uint64_t until = base::monotonic_ns() + ns;
        for (std::uint64_t now = 0; now < until; now = base::monotonic_ns()) {
            continue_those_due(now);
            pass_time_until(std::min(until, now + 2 * ms));
        }
    }
    void disturb_often() {
        const unsigned times = long_form() ? 1'000 : 40;
        for (std::size_t i = 0; i < full_group; ++i) join();
        for (unsigned i = 0; i < times && !HasFatalFailure();) {
            pass_time(random_.below(80 * ms));
            const bool is_short_of_some = members_.size() < full_group;
            if (is_short_of_some && (members_.size() <= full_group / 2 || random_.below(2) == 0)) {
                join();
                continue;
            }
            disturb();
            see_off(Deadline::now());
            ++i;
        }
        pass_time(2'100 * ms); // those that are stopped
    }
    /// Ends the publisher. @returns how many events there are
    Sequence finish() {
        stop_[0] = 1;
        const Sequence last = publisher_->hear_numbers("published").at(0);
        EXPECT_EQ(publisher_->wait(), 0);
        for (const Deadline end = patience; group().cursor != last;) {
            EXPECT_FALSE(end.passed()) << group().cursor.value_or(0) << " of " << last;
            if (end.passed()) break;
            pass_time(10 * ms);
        }
        redelivered_ = group().group->redelivered;
        while (!members_.empty()) let_one_leave();
        see_off(patience);
        EXPECT_TRUE(leaving_.empty());
        return last;
    }
    SubscriptionInfo group() { return bus_.subscriptions("events").at(0); }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--state-dir", state_.path().string()}};
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    MemberLog log_{16U << 20U}; // sparse
    SharedCounters orders_{1U << 16U};
    SharedCounters stop_{1};
    std::optional<Child> publisher_;
    std::vector<Member> members_;
    std::vector<Member> leaving_;
    std::uint32_t last_number_ = 0;
    std::uint64_t redelivered_ = 0;
    Random random_{seed()};
};

TEST_P(KillMembers, LoseNothingAndKeepTheOrderOfKeys) {
    disturb_often();
    const Sequence last = finish();
    const auto verdict = check(log_.all(), last, key_of, ack_wait);
    EXPECT_THAT(verdict.wrong, testing::IsEmpty());
    std::cout << last << " events, " << verdict.kills << " kills, " << verdict.stops << " stops, "
              << verdict.leaves << " leaves, " << last_number_
              << " joins\nreceived again: " << verdict.again_after_kill << " after a kill, "
              << verdict.again_after_leave << " after a leave, " << verdict.again_after_time_out
              << " after a time-out; " << verdict.refused << " acknowledgements too late, "
              << verdict.unseen << " things done that a kill left no time to note\n";
    // That there was something to find.
    EXPECT_GT(verdict.again_after_kill, verdict.kills / 10);
    EXPECT_GT(verdict.again_after_leave, 0U);
    if (long_form()) {
        EXPECT_GT(verdict.again_after_time_out, 0U);
    }
    // The group counts what was not noted, too, but for the last thing that somebody did who was killed.
    EXPECT_LE(verdict.again(), redelivered_ + verdict.kills);
    EXPECT_GE(verdict.again() + verdict.unseen, redelivered_);
}

INSTANTIATE_TEST_SUITE_P(Topics, KillMembers, testing::Values(Retention::memory, Retention::disk),
                         [](const auto& of) { return name_of(of.param); });

} // namespace

} // namespace shmbus::test
