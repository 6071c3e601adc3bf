// Proves that nothing is lost or stuck when a process is killed, with SIGKILL, behind any instruction of
// publishing and receiving, from entry to return.
//
// For each n a victim is stepped through the operation, n instructions far, and killed; then the daemon's
// own code reaps it, every other time after it has given up what the victim had claimed, as it does when it
// sees the end of the library's thread before that of the process. Afterwards:
//
//   * Who read before and who reads now have seen the same events and the same tombstones, in one order,
//     without a hole. No payload is torn. What the victim was told to be published is there.
//   * Who slept was woken, if there was something to read or room to publish.
//   * A publisher goes on for two laps without waiting once, and can have all of the pool.
//   * When all have gone no claim, owned chunk, entry, hold bit or hold cell is left.
//
// A topic lives through all deaths of its operation, so that what leaks slowly shows, too.
//
// What the clock and the compiler make of an operation differs by some instructions from run to run and from
// build to build: n goes up until a victim comes to its end. With --long every n. Else a share of them, from
// one that the seed chooses, in equal steps.
#include "crash/operations.hpp"
#include "process/worker.hpp"
#include "support/sanitizers.hpp"

#include <gmock/gmock.h>
#include <iostream>

namespace shmbus::test {

namespace {

/// From one n to the next; a prime, so that loops do not hide in it.
std::uint64_t stride() { return long_form() ? 1 : instrumented ? 311 : 61; }

/// What became of the victims of an operation.
struct Deaths {
    std::uint64_t kills = 0;
    std::uint64_t instructions = 0; // from entry to return
    std::uint64_t nothing = 0;      // of it was to be seen
    std::uint64_t tombstones = 0;   // nothing else was
    std::uint64_t events = 0;       // something was published
};

/// Waits in receive(), or in publish(), while the victim is at work.
class Asleep {
  public:
    Asleep(Scene& scene, client::Role role);
    /// Returns when it has woken; it must, by itself, if there is something for it.
    void expect_woken(Scene& scene);

  private:
    void receive(control::Lease lease, Told& told) const;
    void publish(control::Lease lease, Told& told) const;
    bool publishes_;
    Sequence next_; // a subscriber's
    Victim process_;
};

Asleep::Asleep(Scene& scene, client::Role role)
    : publishes_(role == client::Role::publisher), next_(scene.head() + 1),
      process_([this, lease = std::make_shared<control::Lease>(scene.lease_until_the_end(role))](
                   Told& told) {
          publishes_ ? publish(std::move(*lease), told) : receive(std::move(*lease), told);
          told.leave();
      }) {
    process_.wait_until_ready();
    const auto bell = publishes_ ? scene.view().space_bell() : scene.view().event_bell();
    for (const Deadline end = patience; !bell.somebody_sleeps(); ::sched_yield())
        if (end.passed()) throw std::runtime_error("nobody goes to sleep");
    process_.wait_until_asleep();
}

void Asleep::receive(control::Lease lease, Told& told) const {
    const ReceiverPtr receiver(new client::Receiver(nullptr, std::move(lease),
                                                    {.spin = std::chrono::nanoseconds::zero()}));
    told.is_ready = 1;
    const auto received = receiver->receive(patience);
    if (const auto* event = std::get_if<Event>(&received)) told.first = event->sequence();
    if (const auto* gap = std::get_if<Gap>(&received)) told.first = gap->first;
}

void Asleep::publish(control::Lease lease, Told& told) const {
    client::Sender sender(nullptr, std::move(lease), {});
    told.is_ready = 1;
    told.result = sender.publish(Payload{sleeper_id, 1}.bytes(inline_size), {}, patience);
}

void Asleep::expect_woken(Scene& scene) {
    if (!publishes_ && scene.head() < next_) scene.publish();
    process_.run_on();
    if (!publishes_) {
        EXPECT_EQ(process_.told().first, next_);
        return;
    }
    EXPECT_EQ(process_.told().result.outcome, PublishOutcome::published);
    scene.note_published(process_.told().result.sequence, {sleeper_id, 1});
    scene.drain();
}

class Kill : public testing::TestWithParam<Operation> {
  protected:
    static void TearDownTestSuite() {
        std::cout << total_.kills << " killed in " << total_.instructions << " instructions\n";
    }
    /// Kills one behind instruction n of the operation; false: it has no more than n.
    bool die_at(std::uint64_t n);
    void report();
    Deaths deaths_;

  private:
    std::unique_ptr<registry::Topic> make_topic() const;
    /// After its death, when both subscribers have read what there is.
    void judge(Scene& scene, const Victim& victim, std::uint64_t number, Sequence before);

    static inline Deaths total_;
    std::unique_ptr<registry::Topic> topic_;
    std::uint64_t number_ = 1; // of the victim's next event
};

std::unique_ptr<registry::Topic> Kill::make_topic() const {
    const store::TopicRecord record{registry::Topic::new_uuid(), small_topic(GetParam().full)};
    auto topic = std::make_unique<registry::Topic>("crash", record, 1);
    if (GetParam().fresh) return topic;
    Scene scene(*topic, false);
    scene.expect_to_go_on();
    EXPECT_THAT(scene.end(), testing::IsEmpty());
    return topic;
}

bool Kill::die_at(std::uint64_t n) {
    const Operation& what = GetParam();
    const bool publishes = what.role() == client::Role::publisher;
    if (!topic_ || what.fresh) topic_ = make_topic();
    const std::uint64_t number = std::exchange(number_, number_ + what.events);

    Scene scene(*topic_, what.exclusive);
    if (publishes && what.arrange != nullptr) what.arrange(scene);
    if (what.exclusive) scene.dismiss_publisher();
    const Seat seat = scene.take_seat(what.role());
    Victim victim([&](Told& told) { what.live(scene.lease_of(seat), number, told); });
    victim.wait_until_ready();
    if (!publishes && what.arrange != nullptr) what.arrange(scene);
    if (!publishes)
        for (std::size_t i = 0; i < what.events; ++i) scene.publish(what.size);
    std::optional<Asleep> asleep;
    if (what.sleeper) asleep.emplace(scene, *what.sleeper);

    const Sequence before = scene.head();
    victim.enter();
    const std::uint64_t steps = victim.step(n);
    const bool survived = victim.has_left();
    scene.early().drain();
    if (asleep && survived) asleep->expect_woken(scene); // by the victim itself
    victim.kill();
    if (publishes && n % 2 == 1) scene.give_up(seat); // its thread's death may be seen first
    scene.bury(seat);
    scene.make_room();
    scene.drain();
    judge(scene, victim, number, before);
    if (asleep && !survived) asleep->expect_woken(scene);
    asleep.reset();
    scene.expect_to_go_on();
    EXPECT_THAT(scene.end(), testing::IsEmpty());
    if (survived) deaths_.instructions = steps;
    return !survived;
}

void Kill::judge(Scene& scene, const Victim& victim, std::uint64_t number, Sequence before) {
    const Operation& what = GetParam();
    auto seen = scene.early().events_of(victim_id);
    seen.merge(scene.late().events_of(victim_id));
    for (std::uint64_t expected = number; const auto& [s, found] : seen) {
        EXPECT_EQ(found, expected++) << "at " << s;
        scene.note_published(s, {victim_id, found});
    }
    const std::uint64_t sequences = scene.head() - before;
    const bool sleeper_publishes = what.sleeper == client::Role::publisher;
    const std::uint64_t of_victim = what.role() == client::Role::publisher ? what.events : 0;
    EXPECT_LE(sequences, of_victim + what.steps_over + (sleeper_publishes ? 1 : 0));
    ++deaths_.kills;
    const bool left_something = of_victim != 0 && sequences > seen.size();
    ++(!seen.empty() ? deaths_.events : left_something ? deaths_.tombstones : deaths_.nothing);
    if (!victim.has_left()) return;
    const Told& told = victim.told();
    if (what.role() == client::Role::subscriber) {
        EXPECT_EQ(told.received, what.receives());
    } else {
        EXPECT_EQ(told.result.outcome, what.outcome);
        const bool published = what.outcome == PublishOutcome::published && what.events != 0;
        EXPECT_EQ(seen.size(), published ? what.events : 0);
        if (published) {
            EXPECT_EQ(seen.rbegin()->first, told.result.sequence);
        }
    }
}

void Kill::report() {
    std::cout << GetParam().name << ": " << deaths_.instructions << " instructions, "
              << deaths_.kills << " killed";
    if (GetParam().role() == client::Role::publisher)
        std::cout << ": " << deaths_.events << " had published, " << deaths_.tombstones
                  << " left a tombstone, " << deaths_.nothing << " nothing";
    std::cout << '\n';
    total_.kills += deaths_.kills;
    total_.instructions += deaths_.instructions;
}

TEST_P(Kill, BehindAnyInstructionLosesNothingAndHoldsUpNobody) {
    std::uint64_t n = long_form() ? 0 : seed() % stride();
    while (die_at(n)) {
        ASSERT_FALSE(HasFailure()) << "killed behind instruction " << n;
        n += stride();
    }
    ASSERT_FALSE(HasFailure()) << "it came to its end";
    report();
    EXPECT_GE(deaths_.instructions, 100U) << "nobody stepped through that";
    EXPECT_GE(deaths_.kills, deaths_.instructions / stride());
    const bool publishes = GetParam().role() == client::Role::publisher &&
                           GetParam().outcome == PublishOutcome::published &&
                           GetParam().events != 0;
    if (!publishes) return;
    EXPECT_GE(deaths_.nothing, 1U);
    EXPECT_GE(deaths_.events, 1U);
    if (long_form()) {
        EXPECT_GE(deaths_.tombstones, 10U);
    }
}

INSTANTIATE_TEST_SUITE_P(Operations, Kill, testing::ValuesIn(operations()),
                         [](const auto& of) { return of.param.name; });

} // namespace

} // namespace shmbus::test
