// Threads on one ring, under every policy: publishers of small and large events, some of which die
// in the middle; subscribers that keep up, that are slow and hold what they read, that come and go.
// Everybody's story must agree. Waits are parked and have a deadline: a lost wake-up is a failure.
#include "support/leaks.hpp"
#include "support/stream_checker.hpp"
#include "support/subscriber.hpp"

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <random>
#include <thread>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
constexpr auto too_long = 20s;

constexpr std::uint32_t writers = 3;
constexpr std::uint64_t events_each = 8000;
constexpr int deaths = 300;
constexpr std::uint32_t mortal = 3; // the publisher entry of those that die

layout::RingParameters busy(FullPolicy policy) {
    auto p = parameters(policy);
    p.capacity = 64;
    p.pool_bytes = 24 * 12'288;
    return p;
}

class Stress : public testing::TestWithParam<FullPolicy> {
  protected:
    void fail(const std::string& what) {
        const std::lock_guard lock(mutex_);
        failures_.push_back(what);
    }

    /// What may be tried again, at once or when there is room.
    bool passing(PublishOutcome outcome) const {
        if (GetParam() == FullPolicy::block) return false; // waits by itself
        return outcome == PublishOutcome::full || outcome == PublishOutcome::pool_full;
    }

    void write(std::uint32_t owner) {
        Pub pub(ring.topic, owner);
        std::minstd_rand random(owner + 1);
        std::vector<std::pair<Sequence, Payload>> done;
        const Deadline end = too_long;
        for (std::uint64_t n = 1; n <= events_each && !end.passed();) {
            const Payload payload{pub.id, n};
            const bool in_chunk = random() % 4 == 0;
            const auto bytes = payload.bytes(in_chunk ? 24 + random() % 3000 : 24 + random() % 41);
            const What what{as_text(bytes)};
            const auto result =
                in_chunk ? publish_in_chunk(pub, what) : pub.publish(what, too_long);
            if (result.outcome == PublishOutcome::published)
                done.emplace_back(result.sequence, payload), ++n;
            else if (passing(result.outcome) || result.outcome == PublishOutcome::revoked)
                std::this_thread::yield();
            else
                return fail("publish: outcome " + std::to_string(static_cast<int>(result.outcome)));
        }
        (void)ring::reap_publisher(ring.topic, owner);
        const std::lock_guard lock(mutex_);
        for (const auto& [s, payload] : done) checker.published(s, payload);
    }

    /// The topic to itself; small events in batches.
    void write_exclusively() {
        Pub pub(ring.topic, 0, Kind::exclusive);
        std::minstd_rand random(7);
        std::vector<std::pair<Sequence, Payload>> done;
        const Deadline end = too_long;
        for (std::uint64_t n = 1; n <= writers * events_each && !end.passed();) {
            const std::uint64_t count = 1 + random() % 12;
            if (random() % 8 == 0) {
                const Payload payload{pub.id, n};
                const auto bytes = payload.bytes(24 + random() % 3000);
                const auto result = publish_in_chunk(pub, {as_text(bytes)});
                if (result.outcome == PublishOutcome::published)
                    done.emplace_back(result.sequence, payload), ++n;
                else if (!passing(result.outcome))
                    return fail("publish: " + std::string(name_of(result.outcome)));
                continue;
            }
            std::vector<std::string> texts;
            for (std::uint64_t i = 0; i < count && n + i <= writers * events_each; ++i)
                texts.emplace_back(as_text(Payload{pub.id, n + i}.bytes(24 + random() % 41)));
            ring::Run run;
            const auto outcome = pub.publish_batch(texts, run, too_long);
            for (std::size_t i = 0; i < run.published; ++i, ++n)
                done.emplace_back(run.last - run.published + 1 + i, Payload{pub.id, n});
            if (outcome != PublishOutcome::published && !passing(outcome))
                return fail("publish: " + std::string(name_of(outcome)));
        }
        (void)ring::reap_publisher(ring.topic, 0);
        for (const auto& [sequence, payload] : done) checker.published(sequence, payload);
    }

    Published publish_in_chunk(Pub& pub, const What& what) {
        std::uint32_t chunk = 0;
        const auto taken = pub.writer.take_chunk(what.text.size(), too_long, chunk);
        if (taken != PublishOutcome::published) return {taken, 0};
        std::memcpy(pub.writer.ring().chunk(chunk).data(), what.text.data(), what.text.size());
        const auto result = pub.publish_filled(chunk, what, too_long);
        if (passing(result.outcome)) pub.writer.give_back(chunk);
        return result;
    }

    /// Publishers that die after each step in turn, and the daemon that reaps them.
    void die() {
        for (int n = 0; n < deaths; ++n) {
            ring::lease_publisher(ring.topic, mortal, mortal + 1, 1);
            ring::Gate gate(ring.topic, mortal);
            ring::Pool pool(ring.topic, mortal, gate);
            const auto chunk = pool.take(100);
            const int step = n % 4;
            if (const auto s = step == 0 ? std::nullopt : claim(gate)) {
                if (step > 1) advance_tail(*s);
                if (step > 2 && chunk) (void)pool.mark_published(*chunk, *s);
            }
            if (n % 8 < 4) std::this_thread::sleep_for(1ms); // time for peers to find it
            (void)ring::reap_publisher(ring.topic, mortal);
        }
    }

    std::optional<Sequence> claim(ring::Gate& gate) {
        for (int tries = 0; tries < 1000; ++tries) {
            const Sequence s = ring.tail();
            if (GetParam() != FullPolicy::drop_oldest && s > 64 && !gate.is_past(s - 64)) continue;
            std::uint64_t seen = ring.stamp(s).word();
            const Stamp stamp(seen);
            const bool is_final = stamp.slot_state() == SlotState::committed ||
                                  stamp.slot_state() == SlotState::aborted ||
                                  stamp.slot_state() == SlotState::evicted;
            const bool is_free = seen == 0 || (stamp.ahead_of(s) == -64 && is_final);
            if (is_free && ring.topic.ring.slot(s).stamp.cas_seq_cst(
                               seen, Stamp::slot(s, SlotState::claimed, mortal).word()))
                return s;
        }
        return {};
    }
    void advance_tail(Sequence s) {
        std::uint64_t expected = s;
        (void)ring.topic.ring.header().tail.cas_release(expected, s + 1);
    }

    /// Keeps up until the ring is closed, asleep when there is nothing.
    void read_all(std::uint32_t index, Stream& stream) {
        Sub sub(ring, index, {.lossy = false});
        attached_.fetch_add(1);
        stream.starts_at(sub.reader.position());
        for (;;) {
            const auto armed_at = sub.reader.arm();
            for (bool more = true; more;) {
                const auto look = see(sub, 0, stream);
                if (look == Look::closed) return leave(sub, index);
                if (look == Look::event && sub.release() == Released::revoked) fail("revoked");
                sub.reader.acknowledge(sub.reader.position() - 1);
                more = look != Look::nothing;
            }
            if (sub.reader.sleep(armed_at, too_long) == base::Woken::timed_out)
                return fail("lost wake-up");
        }
    }

    /// Holds several events at a time; nobody waits for it.
    void read_slowly(std::uint32_t index, Stream& stream) {
        Sub sub(ring, index, {.lossy = true});
        attached_.fetch_add(1);
        stream.starts_at(sub.reader.position());
        std::array<bool, 6> held{};
        Look look{};
        for (std::uint32_t i = 0; look != Look::closed;) {
            if (held.at(i)) give_up(sub, i);
            look = see(sub, i, stream);
            held.at(i) = look == Look::event;
            if (held.at(i)) i = (i + 1) % static_cast<std::uint32_t>(held.size());
            if (look == Look::nothing) std::this_thread::yield();
        }
        for (std::uint32_t i = 0; i < held.size(); ++i)
            if (held.at(i)) give_up(sub, i);
        leave(sub, index);
    }
    void give_up(Sub& sub, std::uint32_t i) {
        if (!Payload::of(sub.place(i).payload)) fail("torn while it was held");
        if (sub.release(i) == Released::revoked) fail("revoked");
    }

    /// Comes, looks at some events, goes, under a new token each time.
    void come_and_go(std::uint32_t index, std::list<Stream>& streams) {
        for (std::uint64_t visit = 1; !closing_.load(); ++visit) {
            const auto start = visit % 2 == 0 ? Start::all() : Start::latest();
            Sub sub(ring, index, {.start = start, .lossy = visit % 3 == 0, .token = visit * 1000});
            auto& stream = streams.emplace_back("visit " + std::to_string(visit));
            stream.starts_at(sub.reader.position());
            for (int looks = 0; looks < 200; ++looks) {
                if (see(sub, 0, stream) == Look::event) (void)sub.release();
                sub.reader.acknowledge(sub.reader.position() - 1);
            }
            leave(sub, index);
        }
    }

    Look see(Sub& sub, std::uint32_t place, Stream& stream) {
        const auto look = sub.look(place);
        if (look == Look::event)
            stream.event(sub.place(place).sequence, sub.place(place).payload);
        else if (look == Look::gap)
            stream.gap(sub.reader.gap());
        return look;
    }
    void leave(Sub& sub, std::uint32_t index) {
        sub.reader.leave();
        ring::reap_reader(ring.topic, index);
    }

    void run(const std::vector<std::function<void()>>& publishers);

    const TestRing ring{busy(GetParam())};
    StreamChecker checker;
    std::atomic<int> attached_{0};
    std::atomic<bool> closing_{false};
    std::mutex mutex_;
    std::vector<std::string> failures_;
};
INSTANTIATE_TEST_SUITE_P(Ring, Stress,
                         testing::Values(FullPolicy::block, FullPolicy::reject,
                                         FullPolicy::drop_oldest));

void Stress::run(const std::vector<std::function<void()>>& publishers) {
    Stream first("first");
    Stream second("second");
    Stream slow("slow");
    std::list<Stream> visits;
    std::vector<std::thread> reading;
    reading.emplace_back([&] { read_all(0, first); });
    reading.emplace_back([&] { read_all(1, second); });
    reading.emplace_back([&] { read_slowly(2, slow); });
    reading.emplace_back([&] { come_and_go(3, visits); });
    while (attached_.load() < 3) std::this_thread::yield();

    std::vector<std::thread> writing;
    for (const auto& publisher : publishers) writing.emplace_back(publisher);
    for (auto& thread : writing) thread.join();
    closing_ = true;
    ring::set_state(ring.topic, layout::RingState::closed);
    for (auto& thread : reading) thread.join();

    const bool all = GetParam() != FullPolicy::drop_oldest;
    checker.add(first, all);
    checker.add(second, all);
    checker.add(slow, false);
    for (const auto& visit : visits) checker.add(visit, false);
    EXPECT_EQ(checker.problems(), Strings{});
    EXPECT_EQ(failures_, Strings{});
    EXPECT_EQ(leaks_after_all_are_gone(ring.topic), Strings{});
    EXPECT_EQ(checker.events(), writers * events_each);
    EXPECT_EQ(first.next(), ring.tail());
    EXPECT_GT(slow.events(), 0U);
    RecordProperty("tombstones", static_cast<int>(checker.tombstones()));
    RecordProperty("visits", static_cast<int>(visits.size()));
}

TEST_P(Stress, EverybodyTellsTheSameStory) {
    std::vector<std::function<void()>> publishers{[&] { die(); }};
    for (std::uint32_t w = 0; w < writers; ++w) publishers.emplace_back([&, w] { write(w); });
    run(publishers);
}

TEST_P(Stress, EverybodyTellsTheSameStoryOfAnExclusivePublisher) {
    run({[&] { write_exclusively(); }});
}

} // namespace
} // namespace shmbus::test
