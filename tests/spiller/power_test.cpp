// Everything that wait_durable() has confirmed is there after a power loss, at whatever moment and with
// any part of what was not synced; no sequence that was handed out comes again; and what is there is what
// was published. The whole way: publishers, ring, spiller, log, disk.
#include "spiller/running.hpp"

#include "support/form.hpp"

#include <cerrno>
#include <charconv>
#include <gmock/gmock.h>
#include <random>
#include <set>
#include <thread>

namespace shmbus::test {
namespace {

constexpr std::array losses{Loss::nothing, Loss::everything, Loss::some, Loss::some};

/// What publishers know, and since how many of the disk's operations.
class Notes {
  public:
    void handed_out(Sequence s, std::string text, std::size_t operations) {
        const std::lock_guard lock(mutex_);
        texts_[s] = std::move(text);
        handed_out_.push_back({operations, s});
    }
    void confirmed(Sequence s, std::size_t operations) {
        const std::lock_guard lock(mutex_);
        confirmed_.push_back({operations, s});
    }
    /// The ring is gone, and with it what nobody waited for.
    void killed(std::size_t operations) {
        const Sequence last = confirmed_by(operations);
        for (auto it = texts_.upper_bound(last); it != texts_.end(); ++it) gone_.insert(it->first);
    }
    [[nodiscard]] bool is_gone(Sequence s) const { return gone_.contains(s); }
    [[nodiscard]] const std::map<Sequence, std::string>& texts() const { return texts_; }
    [[nodiscard]] Sequence confirmed_by(std::size_t operations) const {
        return largest(confirmed_, operations);
    }
    [[nodiscard]] Sequence handed_out_by(std::size_t operations) const {
        return largest(handed_out_, operations);
    }

  private:
    struct Note {
        std::size_t operations;
        Sequence sequence;
    };
    static Sequence largest(const std::vector<Note>& notes, std::size_t operations) {
        Sequence last = 0;
        for (const auto& note : notes)
            if (note.operations <= operations) last = std::max(last, note.sequence);
        return last;
    }
    std::mutex mutex_;
    std::map<Sequence, std::string> texts_;
    std::set<Sequence> gone_;
    std::vector<Note> confirmed_;
    std::vector<Note> handed_out_;
};

/// Daemons and publishers at work on a disk, and what the power may leave of it.
class Story {
  public:
    explicit Story(Sync sync = Sync::group) {
        policy.sync = sync;
        policy.interval = 2ms;
        options.durable = sync != Sync::none;
        options.min_capacity = options.max_capacity = 16'384;
    }

    /// A daemon that stops in order, one that is killed, and one more.
    void work() {
        auto running = start(disk);
        publish(*running, 100);
        EXPECT_TRUE(running->stop());
        running = start(disk);
        publish(*running, 30);
        running.reset();
        notes.killed(disk.operations());
        running = start(disk);
        publish(*running, 60);
        EXPECT_TRUE(running->stop());
    }

    void expect_every_moment_to_be_survived() {
        std::mt19937_64 random(17);
        for (std::size_t n = 0; n <= disk.operations(); ++n)
            for (const auto loss : losses) {
                const Crash crash{.operations = n, .loss = loss, .seed = random()};
                const Sequence confirmed = notes.confirmed_by(n);
                SimulatedDisk left(disk.after(crash));
                expect_kept(left, notes.texts(), confirmed, notes.handed_out_by(n));
                if (++crashes_ % (long_form() ? 8 : 128) == 0) go_on(left, confirmed);
                ASSERT_FALSE(testing::Test::HasFailure())
                    << "after " << n << " operations, loss " << static_cast<int>(loss) << ", seed "
                    << crash.seed;
            }
    }

    SimulatedDisk disk;
    Notes notes;

  private:
    /// Two publishers at once; each waits now and then until what it has published is durable.
    void publish(Running& running, int count) {
        Pub other(running.ring, 1);
        std::thread beside([&] { publish(other, "other", count); });
        publish(running.pub, "one", count);
        beside.join();
    }
    void publish(Pub& pub, const std::string& name, int count) {
        const auto wanted =
            policy.sync == Sync::none ? Durability::not_durable : Durability::durable;
        for (int i = 0; i < count; ++i) {
            auto text = name + ' ' + std::to_string(published_++);
            text.resize(i % 5 == 0 ? 64 : text.size(), '.');
            const auto result = pub.publish(text, patience);
            ASSERT_EQ(result.outcome, PublishOutcome::published);
            notes.handed_out(result.sequence, text, disk.operations());
            if (i % 9 != 0) continue;
            ASSERT_EQ(pub.writer.wait_durable(result.sequence, patience), wanted);
            if (wanted == Durability::durable) notes.confirmed(result.sequence, disk.operations());
        }
    }
    /// What fails once while a daemon starts is not there; it is started again.
    std::unique_ptr<Running> start(SimulatedDisk& on) {
        try {
            return std::make_unique<Running>(on, policy, options);
        } catch (const Error&) {
            return std::make_unique<Running>(on, policy, options);
        }
    }
    using Texts = std::map<Sequence, std::string>;
    void expect_kept(SimulatedDisk& left, const Texts& texts, Sequence confirmed,
                     Sequence handed_out) {
        auto open = spiller::open_log(left.open(), a_topic, options);
        spiller::give_up_promises(open);
        EXPECT_GT(open.log->next(), handed_out) << "a sequence would come again";
        Sequence expected = 1;
        for (const auto& line : contents_of(left)) {
            Sequence first = 0;
            const auto* const end =
                std::from_chars(line.data(), line.data() + line.size(), first).ptr;
            ASSERT_EQ(first, expected) << line;
            Sequence last = first;
            if (*end == '-')
                std::from_chars(end + 1, line.data() + line.size(), last);
            else
                ASSERT_EQ(std::string(end + 1), texts.at(first));
            for (Sequence s = first; *end == '-' && s <= std::min(last, confirmed); ++s)
                ASSERT_TRUE(notes.is_gone(s) || !texts.contains(s))
                    << line << ", up to " << confirmed;
            expected = last + 1;
        }
        EXPECT_GT(expected, confirmed);
    }
    /// The daemon after the power loss.
    void go_on(SimulatedDisk& left, Sequence confirmed) {
        const auto again = start(left);
        const auto result = again->pub.publish("after", patience);
        ASSERT_EQ(result.outcome, PublishOutcome::published);
        EXPECT_TRUE(again->stop());
        auto lines = contents_of(left);
        ASSERT_EQ(lines.back(), std::to_string(result.sequence) + " after");
        auto texts = notes.texts();
        texts[result.sequence] = "after";
        expect_kept(left, texts, confirmed, result.sequence);
    }

    DiskPolicy policy;
    store::LogOptions options;
    std::atomic<int> published_{0};
    std::size_t crashes_ = 0;
};

TEST(Power, LossAfterGroupCommits) {
    Story story;
    story.work();
    ASSERT_GT(story.disk.operations(), 100U);
    ASSERT_GT(story.notes.confirmed_by(story.disk.operations()), 350U);
    story.expect_every_moment_to_be_survived();
}

TEST(Power, LossWhereSyncsAreNowAndThen) {
    Story story(Sync::interval);
    story.work();
    ASSERT_GT(story.notes.confirmed_by(story.disk.operations()), 350U);
    story.expect_every_moment_to_be_survived();
}

TEST(Power, LossWhereNothingIsPromisedBringsNoSequenceBack) {
    Story story(Sync::none);
    story.work();
    story.expect_every_moment_to_be_survived();
}

TEST(Power, LossAfterAnythingFailed) {
    std::size_t failures = 0;
    std::size_t count = 0;
    for (std::size_t operation = 0; operation < 150;
         operation += long_form() || operation < 8 ? 1U : 23U)
        for (const int error : {EIO, ENOSPC}) {
            Story story;
            story.disk.fail_at(operation, error);
            story.work();
            ++count;
            failures += story.disk.has_failed() ? 1U : 0U;
            story.expect_every_moment_to_be_survived();
            ASSERT_FALSE(testing::Test::HasFailure()) << "operation " << operation << ", " << error;
        }
    EXPECT_GT(failures, count / 2) << "else this shows little";
}

// Nothing that a daemon lets publishers do while its disk fails, from whatever operation on, is to be
// forgotten by the next one.
TEST(Start, OnADiskThatFailsHandsOutNothingTwice) {
    for (const int error : {EIO, ENOSPC})
        for (std::size_t operation = 0; operation < 12; ++operation) {
            SimulatedDisk disk;
            {
                Running before(disk);
                ASSERT_EQ(before.pub.publish("before", patience), published(1));
                ASSERT_EQ(before.pub.writer.wait_durable(1, patience), Durability::durable);
            }
            disk.fail_at(operation, error, true);
            Sequence last = 1;
            try {
                Running failing(disk);
                for (auto result = failing.pub.publish("maybe"); result.sequence != 0;
                     result = failing.pub.publish("maybe"))
                    last = result.sequence;
            } catch (const Error& e) {
                EXPECT_THAT(e.what(), testing::HasSubstr("promise"));
                EXPECT_LT(operation, 5U) << "a promise is two writes and three syncs";
            }
            disk.fail_no_more();
            Running after(disk);
            EXPECT_GT(after.ring.tail(), last) << "operation " << operation << ", " << error;
            EXPECT_EQ(after.pub.publish("after", patience).outcome, PublishOutcome::published);
            EXPECT_TRUE(after.stop());
            EXPECT_EQ(contents_of(disk).front(), "1 before");
        }
}

TEST(Start, OnADiskThatFailsOnceGoesOnByItself) {
    for (const bool has_tail : {false, true})
        for (std::size_t operation = 0; operation < 14; ++operation) {
            SimulatedDisk disk;
            {
                Running before(disk, {Sync::interval, 1h});
                for (Sequence s = 1; s <= 31; ++s)
                    ASSERT_EQ(before.pub.publish("before", patience), published(s));
                for (const Deadline end = patience; before.topic->kept().written < 31;)
                    ASSERT_FALSE(end.passed());
            }
            if (!has_tail) { // the state file says that all of it is on disk
                const auto directory = disk.open();
                store::Log log(*directory, a_topic, {});
                ASSERT_EQ(log.sync(), store::Outcome::done);
                ASSERT_EQ(log.lease(log.leased() + 1), store::Outcome::done);
            }
            disk.fail_at(operation, EIO);
            std::unique_ptr<Running> running;
            try {
                running = std::make_unique<Running>(disk);
            } catch (const Error&) {
                ASSERT_LT(operation, 5U);
                running = std::make_unique<Running>(disk);
            }
            const auto result = running->pub.publish("after", patience);
            ASSERT_EQ(result.outcome, PublishOutcome::published);
            ASSERT_EQ(running->pub.writer.wait_durable(result.sequence, patience),
                      Durability::durable)
                << "operation " << operation;
            EXPECT_TRUE(running->stop());
            const auto all = contents_of(disk);
            ASSERT_EQ(all.size(), 33U);
            EXPECT_EQ(all[31], "32-" + std::to_string(result.sequence - 1) + " lost");
        }
}

} // namespace
} // namespace shmbus::test
