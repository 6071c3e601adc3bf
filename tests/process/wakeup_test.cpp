// Proves that no wake-up is lost between processes, however a program waits:
//
//   * two processes play volleys of events through receivers of every kind. Neither goes on before it
//     has the other's whole volley, so an event that woke nobody comes late, which ends the game;
//     events come at every moment of going to sleep;
//   * publishers that wait for room in the smallest ring there is get on;
//   * a publisher that is killed between commit and wake-up leaves nobody asleep: the daemon rings
//     for the dead. (The kill is not left to chance: the worker commits by hand and does not ring.)
//
// 10 million events with --long, else a twentieth of that.
#include "base/clock.hpp"
#include "process/inside.hpp"
#include "process/listener.hpp"
#include "process/load.hpp"
#include "process/steady.hpp"
#include "process/strace.hpp"
#include "shmbus/bus.hpp"
#include "support/daemon_process.hpp"

#include <algorithm>
#include <csignal>
#include <gtest/gtest.h>
#include <iostream>
#include <sched.h>
#include <sys/resource.h>

namespace shmbus::test {

namespace {

constexpr auto no_spin = std::chrono::nanoseconds::zero();
constexpr std::chrono::seconds late{5}; // nothing else than a lost wake-up takes that long

/// The next event, within its deadline. @throws std::runtime_error when there is none
Event next(Subscription& subscription, Deadline deadline = late) {
    auto received = subscription.receive(deadline);
    if (auto* event = std::get_if<Event>(&received)) return std::move(*event);
    if (std::holds_alternative<Gap>(received)) throw std::runtime_error("a gap");
    const auto asleep_at = subscription.position();
    throw std::runtime_error(std::string("receive: ") + name_of(std::get<Nothing>(received)) +
                             (asleep_at <= subscription.head() ? ", with an event there" : ""));
}

/// How often the calling thread has gone to sleep so far.
std::uint64_t sleeps() {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return static_cast<std::uint64_t>(usage.ru_nvcsw);
}

/// The size of a test: of 10 million events with --long, its share.
std::uint64_t events_of(std::uint64_t in_long_form) {
    return in_long_form / (long_form() ? 1 : 20) / (instrumented ? 10 : 1);
}

/// Keeps the calling thread on the first or second core, if there are two: only what two cores do
/// at the same time can cross.
void take_core(std::size_t number) {
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed) || number-- != 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)::sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

void pass_time(std::chrono::nanoseconds time) {
    for (const Deadline until = time; !until.passed();) base::relax_briefly();
}

/// One of two players: its events go out through one publisher a topic, the other's come in through
/// one listener. For some volleys at a time one of them stays awake: its answers come while the other
/// is just going to sleep. Then neither does, and both are asleep whenever they can.
class Player {
  public:
    Player(Bus& bus, const Listening& how, bool exclusive, bool serves, std::uint64_t seed)
        : listener_(make_listener(bus, how, serves ? "back" : "there")), to_sleep_(how.to_sleep),
          random_(seed + (serves ? 1 : 2)), volleys_(seed), me_(serves ? 0 : 1) {
        const std::string prefix = serves ? "there" : "back";
        for (std::size_t i = 0; i < how.topics; ++i)
            publishers_.push_back(bus.publisher(prefix + std::to_string(i),
                                                {.timeout = late, .exclusive = exclusive}));
    }

    /// The length of the next volley.
    std::uint64_t next_volley() {
        if (volley_++ % 64 == 0) awake_ = volleys_.below(3);
        return volleys_.below(2) == 0 ? 1 : 1 + volleys_.below(4);
    }
    void send(std::uint64_t length) {
        const std::vector<Outgoing> events(length, {.payload = {}, .attributes = mark()});
        auto& publisher = publishers_[random_.below(publishers_.size())];
        pass_time(random_time());
        if (random_.below(4) == 0) { // in one go
            if (!publisher.publish(events)) throw std::runtime_error("a volley was not published");
            return;
        }
        for (std::uint64_t i = 0; i < length; ++i) {
            if (i != 0) pass_time(random_time());
            auto& next = publishers_[random_.below(publishers_.size())];
            if (!next.publish("", mark())) throw std::runtime_error("an event was not published");
        }
    }
    void get(std::uint64_t length) {
        const auto see = [this](const Event& event) {
            if (event.type() != static_cast<std::uint32_t>(volley_))
                throw std::runtime_error("an event of another volley");
            const std::uint64_t took = base::monotonic_ns() - event.id();
            longest_ = std::max(longest_, took);
            // A wait that looks once more when its time is over finds what it slept through.
            if (std::chrono::nanoseconds(took) > late)
                throw std::runtime_error("an event was late");
        };
        std::uint64_t seen = 0;
        const Deadline awake = awake_ == me_ ? Deadline(late) : Deadline(random_time() / 4);
        while (seen < length && !awake.passed()) seen += listener_->take(Deadline::now(), see);
        while (seen < length) {
            const std::size_t some = listener_->take(2 * late, see);
            if (some == 0)
                throw std::runtime_error(std::string("asleep for too long") +
                                         (listener_->is_behind() ? ", with an event there" : ""));
            seen += some;
        }
        if (seen > length) throw std::runtime_error("more events than were sent");
    }
    /// From before its publication until an event was seen, in ns.
    [[nodiscard]] std::uint64_t longest() const { return longest_; }

  private:
    /// An event says to which volley it belongs, and when it left.
    [[nodiscard]] Attributes mark() const {
        return {.key = {}, .type = static_cast<std::uint32_t>(volley_), .id = base::monotonic_ns()};
    }
    /// Twice as long as going to sleep takes, or shorter, at any scale.
    std::chrono::nanoseconds random_time() {
        const auto longest = static_cast<std::uint64_t>(2 * to_sleep_.count()) >> random_.below(4);
        return std::chrono::nanoseconds(random_.below(longest));
    }
    std::unique_ptr<Listener> listener_;
    std::chrono::nanoseconds to_sleep_;
    std::vector<Publisher> publishers_;
    Random random_;
    Random volleys_; // the same for both
    std::uint64_t volley_ = 0;
    std::uint64_t me_;
    std::uint64_t awake_ = 0; // the player who stays awake for now; 2: nobody
    std::uint64_t longest_ = 0;
};

/// play SOCKET LISTENING EXCLUSIVE SERVES SEED COUNT: rounds in which that many events go to and
/// fro, as long as it is told to go on.
SHMBUS_WORKER(play) {
    Bus bus({.socket = args.text(0)});
    const bool serves = args.number(3) != 0;
    Player player(bus, listenings[args.number(1)], args.number(2) != 0, serves, args.number(4));
    take_core(serves ? 0 : 1);
    say("ready");
    bool mine = serves;
    while (hear() == "go") {
        const std::uint64_t slept = sleeps();
        std::uint64_t got = 0;
        for (std::uint64_t played = 0; played < args.number(5); mine = !mine) {
            const std::uint64_t length = player.next_volley();
            played += length;
            if (mine) {
                player.send(length);
            } else {
                player.get(length);
                got += length;
            }
        }
        say("got " + std::to_string(got) + ' ' + std::to_string(sleeps() - slept) + ' ' +
            std::to_string(player.longest()));
    }
    return 0;
}

/// One of the two processes, and what it has done so far.
struct PlayerProcess {
    Child child;
    std::uint64_t got = 0;
    std::uint64_t slept = 0;
    std::uint64_t longest = 0;
};

void play_round(std::vector<PlayerProcess>& players) {
    for (auto& player : players) player.child.say("go");
    for (auto& player : players) {
        const auto round = player.child.hear_numbers("got", std::chrono::minutes(10));
        player.got += round.at(0);
        player.slept += round.at(1);
        player.longest = round.at(2);
    }
}

/// Which of `listenings`, and whether publishers are exclusive.
class Volleys : public testing::TestWithParam<std::tuple<std::size_t, bool>> {
  public:
    static std::string name(const testing::TestParamInfo<ParamType>& of) {
        return std::string(listenings[std::get<0>(of.param)].name) +
               (std::get<1>(of.param) ? "_exclusive" : "_shared");
    }
};
INSTANTIATE_TEST_SUITE_P(Wakeup, Volleys,
                         testing::Combine(testing::Range(std::size_t{0}, std::size(listenings)),
                                          testing::Bool()),
                         Volleys::name);

TEST_P(Volleys, ReachWhoSleeps) {
    const auto [listening, exclusive] = GetParam();
    const auto& how = listenings[listening];
    // Most go to those that are the fastest: who has 130 topics to look at takes longer.
    const std::uint64_t count = events_of(how.topics > 100 ? 100'000 : 700'000);
    DaemonProcess daemon;
    Bus bus({.socket = daemon.socket()});
    for (const std::string prefix : {"there", "back"})
        for (std::size_t i = 0; i < how.topics; ++i)
            bus.create_topic(prefix + std::to_string(i), {.capacity = 64,
                                                          .slot_bytes = 128,
                                                          .max_event = 64,
                                                          .pool_bytes = 0,
                                                          .retention = Retention::memory});
    std::vector<PlayerProcess> players;
    for (const bool serves : {true, false})
        players.push_back(
            {Child::worker("play", {daemon.socket(), std::to_string(listening),
                                    std::to_string(int{exclusive}), std::to_string(int{serves}),
                                    std::to_string(seed() + listening), std::to_string(count)})});
    for (auto& player : players) EXPECT_EQ(player.child.hear(), "ready");
    const std::uint64_t start = base::monotonic_ns();
    // On a busy machine the other's events are often there already: then it takes more of them.
    const auto slept_enough = [&](const PlayerProcess& player) {
        return player.slept > count / 32;
    };
    const Deadline deadline = std::chrono::seconds(15); // 14 of these have 300 s together
    do play_round(players);
    while (!std::all_of(players.begin(), players.end(), slept_enough) && !deadline.passed());
    for (auto& [child, got, slept, longest] : players) {
        child.say("leave");
        EXPECT_GT(slept, count / 32) << "the receiver was hardly ever asleep";
        std::cout << got << " events, asleep " << slept << " times, the slowest took "
                  << static_cast<double>(longest) / 1e6 << " ms\n";
        EXPECT_EQ(child.wait(), 0);
    }
    std::cout << static_cast<double>(base::monotonic_ns() - start) / 1e9 << " s\n";
}

/// push SOCKET COUNT EXCLUSIVE: publishes; says how many publishes took as long as a look by the
/// clock, how long the longest took, and how often it slept.
SHMBUS_WORKER(push) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("small", {.timeout = late, .exclusive = args.number(2) != 0});
    say("ready");
    hear();
    const std::uint64_t slept = sleeps();
    std::uint64_t suspicious = 0;
    std::uint64_t longest = 0;
    for (std::uint64_t i = 0; i < args.number(1); ++i) {
        const std::uint64_t start = base::monotonic_ns();
        const auto result = publisher.publish("x");
        const std::uint64_t took = base::monotonic_ns() - start;
        if (!result) throw std::runtime_error(std::string("push: ") + name_of(result.outcome));
        // A publisher that waits looks up by itself every 50 ms: that would hide a lost wake-up.
        if (took >= 50'000'000 && took < 51'000'000 && ++suspicious > 2)
            throw std::runtime_error("push: woken by the clock, not by who made room");
        longest = std::max(longest, took);
    }
    say("pushed " + std::to_string(suspicious) + ' ' + std::to_string(longest) + ' ' +
        std::to_string(sleeps() - slept));
    return 0;
}

/// pull SOCKET COUNT: receives.
SHMBUS_WORKER(pull) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("small", {.spin = no_spin});
    say("ready");
    for (std::uint64_t i = 0; i < args.number(1); ++i) (void)next(subscription, patience);
    return 0;
}

/// How many publishers there are: two that share the topic, or one that has it to itself.
class Room : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Wakeup, Room, testing::Values(1, 2), [](const auto& of) {
    return std::string(of.param == 1 ? "exclusive" : "shared");
});

TEST_P(Room, IsMadeForPublishersThatSleep) {
    const std::uint64_t each = events_of(1'000'000) / GetParam();
    DaemonProcess daemon;
    Bus bus({.socket = daemon.socket()});
    bus.create_topic("small",
                     {.capacity = 2, .evict_after_ms = 60'000, .retention = Retention::memory});
    std::vector<Child> pullers;
    std::vector<Child> pushers;
    for (int i = 0; i < 2; ++i)
        pullers.push_back(
            Child::worker("pull", {daemon.socket(), std::to_string(GetParam() * each)}));
    for (std::uint64_t i = 0; i < GetParam(); ++i)
        pushers.push_back(Child::worker(
            "push", {daemon.socket(), std::to_string(each), std::to_string(int{GetParam() == 1})}));
    for (auto& puller : pullers) EXPECT_EQ(puller.hear(), "ready");
    for (auto& pusher : pushers) EXPECT_EQ(pusher.hear(), "ready");
    const std::uint64_t start = base::monotonic_ns();
    for (auto& pusher : pushers) pusher.say("go");
    for (auto& pusher : pushers) {
        const auto pushed = pusher.hear_numbers("pushed", std::chrono::minutes(10));
        EXPECT_GT(pushed.at(2), each / 20) << "the publisher was hardly ever asleep";
        std::cout << each << " events through two slots: asleep " << pushed.at(2) << " times, "
                  << pushed.at(0) << " as late as a lost wake-up, the longest took "
                  << static_cast<double>(pushed.at(1)) / 1e6 << " ms\n";
        EXPECT_EQ(pusher.wait(), 0);
    }
    for (auto& puller : pullers) EXPECT_EQ(puller.wait(), 0);
    std::cout << static_cast<double>(base::monotonic_ns() - start) / 1e9 << " s\n";
}

/// silent SOCKET: commits an event and does not ring.
SHMBUS_WORKER(silent) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("silent");
    const auto ring = publisher_view(bus, "silent").ring;
    std::uint32_t me = 0;
    while (ring.publisher(me).id.load_acquire() != publisher.id()) ++me;
    const Sequence s = ring.header().tail.load_acquire();
    auto& slot = ring.slot(s);
    std::uint64_t seen = slot.stamp.load_acquire();
    std::uint64_t tail = s;
    const auto claimed = ring::Stamp::slot(s, ring::SlotState::claimed, me).word();
    if (!slot.stamp.cas_seq_cst(seen, claimed) || !ring.header().tail.cas_release(tail, s + 1))
        throw std::runtime_error("silent: somebody else publishes");
    layout::EventHeader header{};
    header.chunk = layout::no_chunk;
    header.publisher = publisher.id();
    const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(header);
    for (std::size_t i = 0; i < words.size(); ++i) slot.header[i].store_relaxed(words[i]);
    slot.stamp.store_release(ring::Stamp::slot(s, ring::SlotState::committed).word());
    say("committed");
    hear();
    return 1;
}

/// sleep SOCKET: says when each event came.
SHMBUS_WORKER(sleep) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("silent", {.spin = no_spin});
    say("ready");
    for (;;) {
        const auto sequence = next(subscription, patience).sequence();
        say("woke " + std::to_string(sequence) + ' ' + std::to_string(base::monotonic_ns()));
    }
}

TEST(Wakeup, ThePublisherDiedBetweenCommitAndWakeUp) {
    DaemonProcess daemon;
    Bus bus({.socket = daemon.socket()});
    bus.create_topic("silent", {.capacity = 16, .retention = Retention::memory});
    auto sleeper = Child::worker("sleep", {daemon.socket()});
    EXPECT_EQ(sleeper.hear(), "ready");
    Percentiles delays;
    for (std::uint64_t i = 1; i <= 100; ++i) {
        wait_until_parked(sleeper.pid()); // first: awake, it would need nobody to wake it
        auto silent = Child::worker("silent", {daemon.socket()});
        ASSERT_EQ(silent.hear(), "committed");
        ASSERT_TRUE(is_parked(sleeper.pid())) << "something else woke it";
        const std::uint64_t killed = base::monotonic_ns();
        silent.kill(SIGKILL);
        const auto woke = sleeper.hear_numbers("woke", late);
        EXPECT_EQ(woke.at(0), i);
        delays.add(static_cast<double>(woke.at(1) - killed) / 1e6);
        EXPECT_EQ(silent.wait(), -SIGKILL);
    }
    std::cout << "woken after the kill of a silent publisher: " << delays.text() << '\n';
}

} // namespace

} // namespace shmbus::test
