// Proves that a publisher that is stopped, with SIGSTOP, anywhere between claim and commit, holds others up
// no longer than it may, and loses nothing itself.
//
// The window is found by stepping: every instruction behind which a slot is claimed for the victim. Behind
// each of these one is stopped. Others then publish two laps: at once where the oldest event may be
// dropped, else when the subscribers have stood at the claim for evict_after. When the victim goes on it
// is told the truth: its late commit fails, and it publishes the event again, later in the order; only a
// loan may be lost with its claim. Nobody sees the event twice, or half of it. A third of them is killed
// where it stopped instead: then its claim was all that there was of it.
//
// An exclusive publisher has nobody beside it, so nobody revokes its claim: the event comes when it goes on.
//
// With --long every instruction of the window, else a share of them.
#include "crash/operations.hpp"
#include "process/worker.hpp"
#include "support/sanitizers.hpp"

#include <gmock/gmock.h>
#include <iostream>

namespace shmbus::test {

namespace {

std::uint64_t stride() { return long_form() ? 1 : instrumented ? 97 : 31; }

struct Stops {
    std::uint64_t window = 0; // instructions
    std::uint64_t stops = 0;
    std::uint64_t late = 0;    // published with a later sequence
    std::uint64_t in_time = 0; // with the one it had claimed
    std::uint64_t revoked = 0; // not at all
    std::uint64_t killed = 0;  // where they stood
};

class Stop : public testing::TestWithParam<Operation> {
  protected:
    Stop() {
        auto options = small_topic(GetParam().full);
        options.evict_after_ms = 5;
        const store::TopicRecord record{registry::Topic::new_uuid(), options};
        topic_ = std::make_unique<registry::Topic>("crash", record, 1);
        Scene scene(*topic_, GetParam().exclusive);
        scene.expect_to_go_on();
        EXPECT_THAT(scene.end(), testing::IsEmpty());
    }
    /// The instructions behind which it has something claimed, from the first of them.
    std::vector<std::uint64_t> find_window();
    enum class Then : std::uint8_t { lapped, swept, killed };
    void stop_at(std::uint64_t n, Then then);
    void report() const;
    Stops stops_;

  private:
    /// Others, while the victim stands still.
    void go_on_without(Scene& scene, Then then) const;
    /// What both subscribers have seen of it: a beginning of what it had to publish.
    std::map<Sequence, std::uint64_t> seen(Scene& scene, std::uint64_t number) const;
    /// Whether it has published what it had claimed, and where.
    bool judge_living(Scene& scene, const Told& told, std::uint64_t number, Sequence claimed);
    void judge_dead(Scene& scene, std::uint64_t number, Sequence claimed);
    std::unique_ptr<registry::Topic> topic_;
    std::uint64_t number_ = 1; // of the victim's next event
};

/// The sequence that this publisher has claimed last; 0: none.
Sequence claim_of(const Scene& scene, const Seat& seat) {
    const auto& ring = scene.view().ring;
    const Sequence tail = scene.head() + 1;
    Sequence last = 0;
    for (std::uint32_t i = 0; i < ring.capacity(); ++i) {
        const layout::Stamp stamp(ring.slot(i).stamp.load_acquire());
        if (stamp.slot_state() == layout::SlotState::claimed && stamp.owner() == seat.entry)
            last = std::max(last, stamp.sequence(tail));
    }
    return last;
}

/// Slots that nobody may use, since their owners may still write there.
unsigned quarantined(const Scene& scene) {
    const auto& ring = scene.view().ring;
    unsigned count = 0;
    for (std::uint32_t i = 0; i < ring.capacity(); ++i) {
        const layout::Stamp stamp(ring.slot(i).stamp.load_acquire());
        if (stamp.slot_state() == layout::SlotState::quarantined) ++count;
    }
    return count;
}

/// What comes before is not always as long: the kernel's clock looks again if it was interrupted.
void step_to_claim(const Scene& scene, const Seat& seat, Victim& victim) {
    while (claim_of(scene, seat) == 0)
        if (victim.step(1) == 0) throw std::runtime_error("it claims nothing");
}

std::vector<std::uint64_t> Stop::find_window() {
    Scene scene(*topic_, GetParam().exclusive);
    const std::uint64_t number = std::exchange(number_, number_ + GetParam().events);
    const Seat seat = scene.take_seat(client::Role::publisher);
    Victim victim([&](Told& told) { GetParam().live(scene.lease_of(seat), number, told); });
    victim.wait_until_ready();
    victim.enter();
    std::vector<std::uint64_t> window;
    step_to_claim(scene, seat, victim);
    for (std::uint64_t n = 0; !victim.has_left(); n += victim.step(1))
        if (claim_of(scene, seat) != 0) window.push_back(n);
    scene.drain();
    EXPECT_EQ(seen(scene, number).size(), GetParam().events);
    victim.kill();
    scene.bury(seat);
    EXPECT_THAT(scene.end(), testing::IsEmpty());
    return window;
}

void Stop::go_on_without(Scene& scene, Then then) const {
    scene.drain();
    if (then == Then::swept) {
        scene.sweep();
        scene.drain();
        if (GetParam().exclusive) return;
        EXPECT_EQ(scene.early().stream().next(), scene.head() + 1) << "they stand at the claim";
    }
    if (GetParam().exclusive || then == Then::swept) return;
    for (std::uint32_t i = 0; i < 2 * scene.view().ring.capacity(); ++i)
        scene.publish_patiently(i % 3 == 0 ? chunk_size : inline_size);
}

void Stop::stop_at(std::uint64_t n, Then then) {
    const Operation& what = GetParam();
    const std::uint64_t number = std::exchange(number_, number_ + what.events);
    Scene scene(*topic_, what.exclusive);
    const Seat seat = scene.take_seat(client::Role::publisher);
    Victim victim([&](Told& told) { what.live(scene.lease_of(seat), number, told); });
    victim.wait_until_ready();
    victim.enter();
    step_to_claim(scene, seat, victim);
    ASSERT_EQ(victim.step(n), n);
    const Sequence claimed = claim_of(scene, seat);
    ASSERT_NE(claimed, 0U) << "it is not in the window";
    victim.stop();
    // As long as the tail has not moved on nobody waits for the claim.
    const bool revoked = !what.exclusive && (then != Then::swept || scene.head() >= claimed);
    go_on_without(scene, then);
    EXPECT_FALSE(victim.has_left());
    if (then == Then::killed) {
        victim.kill();
        scene.bury(seat);
        scene.drain();
        judge_dead(scene, number, claimed);
    } else {
        EXPECT_EQ(quarantined(scene), revoked ? 1U : 0U);
        victim.run_on();
        EXPECT_EQ(quarantined(scene), 0U) << "its slot is not free again";
        scene.drain();
        EXPECT_EQ(judge_living(scene, victim.told(), number, claimed), !revoked);
        scene.bury(seat);
    }
    scene.expect_to_go_on();
    EXPECT_THAT(scene.end(what.full == FullPolicy::block), testing::IsEmpty());
    ++stops_.stops;
}

std::map<Sequence, std::uint64_t> Stop::seen(Scene& scene, std::uint64_t number) const {
    auto events = scene.early().events_of(victim_id);
    EXPECT_EQ(events, scene.late().events_of(victim_id));
    for (std::uint64_t expected = number; const auto& [s, found] : events) {
        EXPECT_EQ(found, expected++) << "at " << s;
        scene.note_published(s, {victim_id, found});
    }
    return events;
}

bool Stop::judge_living(Scene& scene, const Told& told, std::uint64_t number, Sequence claimed) {
    const auto events = seen(scene, number);
    if (told.result.outcome == PublishOutcome::revoked) {
        EXPECT_TRUE(GetParam().is_loan) << "the payload was there still";
        EXPECT_TRUE(events.empty());
        ++stops_.revoked;
        return false;
    }
    EXPECT_EQ(told.result.outcome, PublishOutcome::published);
    EXPECT_EQ(events.size(), GetParam().events);
    EXPECT_TRUE(events.count(told.result.sequence) == 1);
    const bool in_time = events.count(claimed) == 1;
    ++(in_time ? stops_.in_time : stops_.late);
    return in_time;
}

void Stop::judge_dead(Scene& scene, std::uint64_t number, Sequence claimed) {
    const auto events = seen(scene, number);
    EXPECT_TRUE(events.empty() || events.rbegin()->first < claimed);
    ++stops_.killed;
}

void Stop::report() const {
    std::cout << GetParam().name << ": " << stops_.window << " instructions, " << stops_.stops
              << " stopped: " << stops_.late << " published later, " << stops_.in_time
              << " where they were, " << stops_.revoked << " lost their loan, " << stops_.killed
              << " were killed\n";
}

TEST_P(Stop, BetweenClaimAndCommitLosesNothingAndHoldsUpNobodyForLong) {
    const auto window = find_window();
    ASSERT_FALSE(HasFailure());
    stops_.window = window.size();
    for (std::uint64_t i = seed() % stride(); i < window.size(); i += stride()) {
        stop_at(window[i], static_cast<Then>(i % 3));
        ASSERT_FALSE(HasFailure()) << "stopped " << window[i] << " instructions behind its claim";
    }
    report();
    EXPECT_GE(stops_.window, 50U) << "nobody stepped through that";
    EXPECT_GE(stops_.stops, stops_.window / stride());
    EXPECT_GE(stops_.late + stops_.in_time + stops_.revoked, 1U);
}

std::vector<Operation> to_be_stopped() {
    std::vector<Operation> all;
    for (Operation what : operations()) {
        if (what.role() != client::Role::publisher || what.full != FullPolicy::block ||
            what.outcome != PublishOutcome::published || what.arrange != nullptr || what.sleeper ||
            what.fresh || what.events == 0)
            continue;
        all.push_back(what);
        if (what.exclusive) continue;
        what.full = FullPolicy::drop_oldest;
        what.name += "_dropping";
        all.push_back(what);
    }
    return all;
}

INSTANTIATE_TEST_SUITE_P(Operations, Stop, testing::ValuesIn(to_be_stopped()),
                         [](const auto& of) { return of.param.name; });

} // namespace

} // namespace shmbus::test
