// Whenever the process dies or the power fails: the log recovers, and what it promised holds.
#include "caller.hpp"
#include "support/form.hpp"

#include <random>

namespace shmbus::store {
namespace {

using test::Caller;
using test::Crash;
using test::Loss;
using test::SimulatedDisk;

constexpr std::array losses_of_power{Loss::nothing, Loss::everything, Loss::some, Loss::some};

/// Several segments, of which two expire, an orderly restart, and one that is not.
void work(SimulatedDisk& disk, Caller& caller) {
    caller.append_through(70);
    caller.sync();
    caller.expire(1);
    caller.append_through(110);
    caller.close();
    caller.reopen();
    caller.append_through(135);
    caller.flush();
    caller.reopen();
    caller.append_through(160);
    caller.expire(1);
    caller.sync();
    caller.append_through(170);
    caller.flush();
    ASSERT_GT(disk.operations(), 100U);
}

/// Opens what a crash has left, checks it, and goes on with it.
void expect_recovery(const std::map<std::string, test::FileBytes>& files,
                     const test::Promise& promise, const LogOptions& options) {
    SimulatedDisk disk(files);
    const auto directory = disk.open();
    Log log(*directory, test::log_topic, options);
    test::expect_kept(log, files, promise);
    test::go_on(log);
    auto later = promise;
    later.handed_out = log.durable();
    test::expect_kept(log, disk.files(), later);

    // Crashes while it recovers.
    static unsigned count = 0;
    if (++count % 64 != 0 && !test::long_form()) return;
    std::mt19937_64 random(count);
    for (std::size_t n = 0; n <= disk.operations(); ++n) {
        const auto loss = losses_of_power.at(random() % losses_of_power.size());
        const auto left = disk.after({.operations = n, .loss = loss, .seed = random()});
        SimulatedDisk again(left);
        const auto there = again.open();
        test::expect_kept(Log(*there, test::log_topic, options), left, later);
        if (testing::Test::HasFailure()) {
            ADD_FAILURE() << "after " << n << " operations of the recovery";
            return;
        }
    }
}

void expect_every_prefix_to_recover(const SimulatedDisk& disk, const Caller& caller,
                                    const LogOptions& options) {
    std::mt19937_64 random(4711);
    for (std::size_t n = 0; n <= disk.operations(); ++n)
        for (const auto loss : losses_of_power) {
            Crash crash{.operations = n, .loss = loss, .seed = random()};
            if (n < disk.operations() && disk.written_by(n) > 0 && loss != Loss::everything)
                crash.torn = random() % disk.written_by(n);
            expect_recovery(disk.after(crash), caller.promised_after(n), options);
            if (testing::Test::HasFailure()) {
                ADD_FAILURE() << "after " << n << " operations, loss " << static_cast<int>(loss)
                              << ", seed " << crash.seed << ", torn " << crash.torn.value_or(0);
                return;
            }
        }
}

TEST(Crash, AfterEveryOperationTheLogRecovers) {
    SimulatedDisk disk;
    Caller caller(disk);
    work(disk, caller);
    expect_every_prefix_to_recover(disk, caller, test::small_segments());
}

TEST(Crash, AlsoOfALogThatIsNotDurable) {
    const auto options = test::small_segments(false);
    SimulatedDisk disk;
    Caller caller(disk, options);
    work(disk, caller);
    expect_every_prefix_to_recover(disk, caller, options);
}

TEST(Crash, AlsoWhenItHadToStartOver) {
    for (const std::size_t failing : {20U, 37U, 60U}) {
        if (failing != 37U && !test::long_form()) continue;
        SimulatedDisk disk;
        Caller caller(disk);
        disk.fail_at(failing, EIO);
        work(disk, caller);
        ASSERT_TRUE(disk.has_failed());
        expect_every_prefix_to_recover(disk, caller, test::small_segments());
        if (HasFailure()) return;
    }
}

// The kernel drops what it could not write, and the next sync says nothing: a process that takes over
// from one that died in between must not believe what it reads.
TEST(Crash, BetweenAFailedSyncAndStartingOver) {
    SimulatedDisk disk;
    Caller caller(disk);
    caller.append_through(20);
    caller.sync();
    for (Sequence s = 21; s < 34; ++s) ASSERT_EQ(test::append_next(caller.log()), Outcome::done);
    disk.fail_at(1, EIO);
    ASSERT_EQ(caller.log().sync(), Outcome::failed);
    caller.reopen();
    EXPECT_EQ(caller.log().next(), 34U);
    ASSERT_EQ(caller.log().sync(), Outcome::done);
    EXPECT_EQ(caller.log().durable(), 33U);
    const auto left = disk.after({.operations = disk.operations(), .loss = test::Loss::everything});
    SimulatedDisk after(left);
    const auto there = after.open();
    const Log log(*there, test::log_topic, test::small_segments());
    EXPECT_EQ(log.next(), 34U);
    EXPECT_TRUE(test::losses(test::read_log(log, left)).empty());
}

/// Fails the n-th operation, for every n, and goes on as a caller does.
void expect_no_failure_to_matter(int error, bool for_good) {
    bool has_failed = true;
    for (std::size_t n = 0; has_failed; ++n) {
        SimulatedDisk disk;
        Caller caller(disk);
        disk.fail_at(n, error, for_good);
        work(disk, caller);
        disk.fail_no_more();
        caller.append_through(175);
        caller.sync();
        has_failed = disk.has_failed();
        ASSERT_GE(caller.log().durable(), 175U);
        EXPECT_TRUE(test::losses(test::read_log(caller.log(), disk.files())).empty());
        std::mt19937_64 random(n);
        for (int i = 0; i < (test::long_form() ? 6 : 2); ++i) {
            const auto at = i == 0 ? disk.operations() : random() % (disk.operations() + 1);
            const Crash crash{
                .operations = at, .loss = i == 0 ? Loss::everything : Loss::some, .seed = random()};
            expect_recovery(disk.after(crash), caller.promised_after(at), test::small_segments());
        }
        ASSERT_FALSE(testing::Test::HasFailure()) << "operation " << n;
    }
}

TEST(Failure, OfAnyOperationLosesNothing) { expect_no_failure_to_matter(EIO, false); }
TEST(Failure, ThatStaysForAWhileLosesNothing) { expect_no_failure_to_matter(EIO, true); }
TEST(OutOfSpace, AtAnyOperationLosesNothing) { expect_no_failure_to_matter(ENOSPC, false); }
TEST(OutOfSpace, ThatStaysForAWhileLosesNothing) { expect_no_failure_to_matter(ENOSPC, true); }

TEST(OutOfSpace, DelaysWhatIsWrittenOff) {
    for (const bool has_tail : {false, true}) {
        SimulatedDisk fresh;
        {
            const auto there = fresh.open();
            Log log(*there, test::log_topic, test::small_segments());
            test::append_through(log, 3);
            ASSERT_EQ(log.sync(), Outcome::done);
            test::append_through(log, 6);
            ASSERT_EQ(has_tail ? log.flush() : log.sync(), Outcome::done);
        }
        const auto there = fresh.open();
        Log log(*there, test::log_topic, test::small_segments());
        fresh.fail_at(0, ENOSPC, true);
        log.write_off(50);
        EXPECT_EQ(log.next(), 51U);
        for (int i = 0; i < 2; ++i) {
            EXPECT_EQ(test::append_next(log), Outcome::out_of_space);
            EXPECT_EQ(log.sync(), Outcome::out_of_space);
            EXPECT_EQ(log.close(), Outcome::out_of_space);
            EXPECT_NE(log.trouble().find("no space for a segment of"), std::string::npos);
        }
        EXPECT_EQ(log.written(), 6U);
        fresh.fail_no_more();
        test::append_through(log, 60);
        ASSERT_EQ(log.sync(), Outcome::done);
        EXPECT_EQ(log.durable(), 60U);
        const auto lost = test::losses(test::read_log(log, fresh.files()));
        ASSERT_EQ(lost.size(), 1U);
        EXPECT_EQ(lost[0].first, 7U);
        EXPECT_EQ(lost[0].last, 50U);
        EXPECT_EQ(lost[0].reason, GapReason::lost);
    }
}

} // namespace
} // namespace shmbus::store
