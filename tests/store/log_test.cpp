// A log on a disk that works, and on one that is full or fails.
#include "workload.hpp"

#include "shmbus/error.hpp"

#include <cerrno>
#include <gmock/gmock.h>

namespace shmbus::store {
namespace {

using test::append_next;
using test::append_through;
using test::losses;
using test::read_log;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LogTest : public testing::Test {
  protected:
    std::unique_ptr<Log> open(const LogOptions& options = test::small_segments()) {
        directory = disk.open();
        return std::make_unique<Log>(*directory, test::log_topic, options);
    }
    test::SimulatedDisk disk;
    std::unique_ptr<Directory> directory;
};

TEST_F(LogTest, BeginsEmpty) {
    const auto log = open({.first = 5});
    EXPECT_EQ(log->first(), 5U);
    EXPECT_EQ(log->next(), 5U);
    EXPECT_EQ(log->written(), 4U);
    EXPECT_EQ(log->durable(), 4U);
    EXPECT_EQ(log->leased(), 0U);
    EXPECT_EQ(log->sync(), Outcome::done);
    EXPECT_EQ(disk.operations(), 0U);
}

TEST_F(LogTest, KeepsWhatIsAppended) {
    auto log = open();
    append_through(*log, 300);
    ASSERT_EQ(log->sync(), Outcome::done);
    EXPECT_EQ(log->written(), 300U);
    EXPECT_EQ(log->durable(), 300U);
    EXPECT_GT(log->segments().size(), 4U);
    EXPECT_THAT(losses(read_log(*log, disk.files())), IsEmpty());
    ASSERT_EQ(log->close(), Outcome::done);
    log = open();
    EXPECT_EQ(log->next(), 301U);
    EXPECT_EQ(log->durable(), 300U);
    EXPECT_EQ(log->first(), 1U);
    append_through(*log, 400);
    ASSERT_EQ(log->flush(), Outcome::done);
    EXPECT_THAT(losses(read_log(*log, disk.files())), IsEmpty());
}

TEST_F(LogTest, WatermarksMoveWithTheFile) {
    const auto log = open();
    append_through(*log, 3);
    EXPECT_EQ(log->written(), 0U);
    ASSERT_EQ(log->flush(), Outcome::done);
    EXPECT_EQ(log->written(), 3U);
    EXPECT_EQ(log->durable(), 0U);
    EXPECT_EQ(log->kept(), 0U);
    ASSERT_EQ(log->sync(), Outcome::done);
    EXPECT_EQ(log->durable(), 3U);
    EXPECT_EQ(log->kept(), 3U);
}

TEST_F(LogTest, GathersBeforeItWrites) {
    const auto log = open({});
    append_through(*log, 40);
    const auto before = disk.operations();
    ASSERT_EQ(log->flush(), Outcome::done);
    EXPECT_EQ(disk.operations(), before + 1);
    ASSERT_EQ(log->flush(), Outcome::done);
    EXPECT_EQ(disk.operations(), before + 1);
}

TEST_F(LogTest, SegmentsDoubleAndAreCutWhenSealed) {
    const auto log = open();
    append_through(*log, 200);
    ASSERT_EQ(log->close(), Outcome::done);
    std::uint64_t capacity = 16'384;
    for (const Sequence first : log->segments()) {
        const auto ends = read_ends(*directory, test::log_topic, first);
        ASSERT_TRUE(ends.footer) << first;
        EXPECT_LE(ends.bytes, ends.header.capacity);
        if (ends.header.capacity <= 65'536) {
            EXPECT_GE(ends.header.capacity, std::min<std::uint64_t>(capacity, 65'536));
        }
        capacity = ends.header.capacity;
        EXPECT_EQ(ends.header.durable_through, first - 1);
    }
    EXPECT_THAT(directory->list(), testing::Not(testing::Contains("spare")));
}

TEST_F(LogTest, KeepsEventsLargerThanAWrite) {
    const auto log = open();
    const std::string payload(3'000'001, 'p');
    const std::string extension(4'600, 'e');
    layout::EventFrame event;
    event.sequence = 1;
    event.header.time_ns = 5;
    event.extension = std::as_bytes(std::span(extension));
    event.payload = std::as_bytes(std::span(payload));
    ASSERT_EQ(test::append(*log, event), Outcome::done);
    EXPECT_EQ(log->written(), 1U);
    append_through(*log, 20);
    ASSERT_EQ(log->sync(), Outcome::done);
    const auto files = disk.files();
    auto cursor = spill::SegmentView(files.at(layout::segment_name(1)), test::log_topic, 1).begin();
    ASSERT_EQ(cursor.next(), spill::Found::event);
    EXPECT_TRUE(cursor.verify());
    EXPECT_EQ(as_text(cursor.payload()), payload);
    EXPECT_EQ(as_text(cursor.extension()), extension);
}

TEST_F(LogTest, OpeningOneThatWasClosedReadsItsEndsAlone) {
    auto log = open({});
    append_through(*log, 2'000);
    ASSERT_EQ(log->close(), Outcome::done);
    const auto before = disk.bytes_read();
    const auto operations = disk.operations();
    log = open({});
    EXPECT_EQ(log->next(), 2'001U);
    EXPECT_LT(disk.bytes_read() - before, 50'000U);
    EXPECT_EQ(disk.operations(), operations) << "opening writes nothing";
}

// Without the state file, too: whoever has only the segments knows what has to be in them.
TEST_F(LogTest, OneThatWasClosedSaysThatItsEndIsOnDisk) {
    for (const bool durable : {true, false}) {
        const auto options = test::small_segments(durable);
        test::SimulatedDisk fresh;
        const auto there = fresh.open();
        Log log(*there, test::log_topic, options);
        append_through(log, 150);
        ASSERT_EQ(log.flush(), Outcome::done);
        ASSERT_LT(log.durable(), 150U);
        ASSERT_EQ(log.close(), Outcome::done);
        const auto last = read_ends(*there, test::log_topic, log.segments().back());
        ASSERT_TRUE(last.footer);
        EXPECT_EQ(last.footer->durable_through, 150U) << durable;

        auto files =
            fresh.after({.operations = fresh.operations(), .loss = test::Loss::everything});
        files.erase("log.state");
        test::SimulatedDisk after(files);
        const auto left = after.open();
        const Log again(*left, test::log_topic, options);
        EXPECT_EQ(again.next(), 151U);
        EXPECT_EQ(again.durable(), 150U);
    }
}

TEST_F(LogTest, AFullDiskIsMetBeforeARecordAndTriedAgain) {
    const auto log = open();
    append_through(*log, 10);
    disk.fail_at(0, ENOSPC, true);
    Outcome outcome = Outcome::done;
    while (outcome == Outcome::done && log->next() < 1'000) {
        // Only making files fails: what has been allocated can be written.
        disk.fail_no_more();
        const bool has_spare = [&] {
            const auto names = directory->list();
            return std::find(names.begin(), names.end(), "spare") != names.end();
        }();
        if (!has_spare) disk.fail_at(0, ENOSPC, true);
        outcome = append_next(*log);
    }
    EXPECT_EQ(outcome, Outcome::out_of_space);
    const Sequence stuck = log->next();
    EXPECT_EQ(append_next(*log), Outcome::out_of_space);
    disk.fail_no_more();
    ASSERT_EQ(log->sync(), Outcome::done);
    EXPECT_EQ(log->durable(), stuck - 1);
    append_through(*log, 300);
    ASSERT_EQ(log->sync(), Outcome::done);
    EXPECT_THAT(losses(read_log(*log, disk.files())), IsEmpty());
}

TEST_F(LogTest, LeavesTheReserveAlone) {
    auto options = test::small_segments();
    options.reserve = std::uint64_t{1} << 41U; // twice what the disk has
    const auto log = open(options);
    EXPECT_EQ(append_next(*log), Outcome::out_of_space);
    EXPECT_EQ(log->next(), 1U);
}

TEST_F(LogTest, AFailedSyncIsNotTriedAgainOnTheSameFile) {
    auto log = open();
    append_through(*log, 5);
    ASSERT_EQ(log->sync(), Outcome::done);
    append_through(*log, 9);
    ASSERT_EQ(log->flush(), Outcome::done);
    disk.fail_at(0, EIO);
    EXPECT_EQ(log->sync(), Outcome::failed);
    EXPECT_TRUE(log->has_failed());
    EXPECT_THAT(log->trouble(), HasSubstr("Input/output error"));
    EXPECT_EQ(log->durable(), 5U);
    EXPECT_EQ(append_next(*log), Outcome::failed);
    EXPECT_EQ(log->sync(), Outcome::failed);
    EXPECT_EQ(log->close(), Outcome::failed);
    log->start_over();
    EXPECT_EQ(log->next(), 6U);
    append_through(*log, 9);
    ASSERT_EQ(log->sync(), Outcome::done);
    EXPECT_EQ(log->durable(), 9U);
    EXPECT_THAT(log->segments(), ElementsAre(1, 6));
    for (const auto loss : {test::Loss::everything, test::Loss::nothing}) {
        test::SimulatedDisk after(disk.after({.operations = disk.operations(), .loss = loss}));
        const auto there = after.open();
        const Log again(*there, test::log_topic, test::small_segments());
        EXPECT_EQ(again.next(), 10U);
        EXPECT_THAT(losses(read_log(again, after.files())), IsEmpty());
    }
}

TEST_F(LogTest, StartsOverInAFileOfTheSameName) {
    const auto log = open();
    append_through(*log, 3);
    disk.fail_at(0, EIO);
    EXPECT_EQ(log->flush(), Outcome::failed);
    log->start_over();
    EXPECT_EQ(log->next(), 1U);
    append_through(*log, 3);
    ASSERT_EQ(log->sync(), Outcome::done);
    EXPECT_THAT(log->segments(), ElementsAre(1));
    EXPECT_THAT(losses(read_log(*log, disk.files())), IsEmpty());
}

TEST_F(LogTest, MaxTimesStayExactWhenItStartsOver) {
    const auto log = open();
    append_through(*log, 5);
    ASSERT_EQ(log->sync(), Outcome::done);
    append_through(*log, 40);
    disk.fail_at(0, EIO);
    EXPECT_EQ(log->sync(), Outcome::failed);
    const Sequence from = log->durable() + 1;
    log->start_over();
    append_through(*log, 40);
    ASSERT_EQ(log->sync(), Outcome::done);
    std::uint64_t expected = 0;
    for (Sequence s = 1; s < from; ++s)
        if (!test::is_aborted(s)) expected = std::max(expected, test::time_of(s));
    EXPECT_EQ(read_ends(*directory, test::log_topic, from).header.max_time_before, expected);
}

TEST_F(LogTest, ThatIsNotDurableSealsWithoutSyncing) {
    auto log = open(test::small_segments(false));
    append_through(*log, 40);
    const auto begun = log->segments().size();
    const auto before = disk.syncs();
    append_through(*log, 300);
    const auto made = log->segments().size() - begun;
    EXPECT_EQ(disk.syncs() - before, 2 * made) << "the header and its name";
    ASSERT_EQ(log->flush(), Outcome::done);
    EXPECT_EQ(log->durable(), 0U);
    EXPECT_EQ(log->kept(), 300U);
    // The option may change: what was written without a promise is made good.
    log = open(test::small_segments());
    EXPECT_EQ(log->next(), 301U);
    EXPECT_LT(log->durable(), 300U);
    ASSERT_EQ(log->sync(), Outcome::done);
    EXPECT_EQ(log->durable(), 300U);
    test::SimulatedDisk after(
        disk.after({.operations = disk.operations(), .loss = test::Loss::everything}));
    const auto there = after.open();
    const Log again(*there, test::log_topic, test::small_segments());
    EXPECT_EQ(again.next(), 301U);
    EXPECT_THAT(losses(read_log(again, after.files())), IsEmpty());
}

TEST_F(LogTest, LeasesAreKept) {
    auto log = open();
    ASSERT_EQ(log->lease(1'000), Outcome::done);
    EXPECT_EQ(log->leased(), 1'000U);
    ASSERT_EQ(log->lease(500), Outcome::done);
    EXPECT_EQ(log->leased(), 1'000U);
    disk.fail_at(0, EIO);
    EXPECT_EQ(log->lease(2'000), Outcome::failed);
    EXPECT_EQ(log->leased(), 1'000U);
    append_through(*log, 3);
    ASSERT_EQ(log->lease(3'000), Outcome::done);
    auto files = disk.after({.operations = disk.operations(), .loss = test::Loss::everything});
    for (const std::size_t at : {100U, 4'196U}) {
        auto damaged = files;
        damaged.at("log.state").at(at) ^= std::byte{1};
        test::SimulatedDisk after(damaged);
        const auto there = after.open();
        EXPECT_EQ(Log(*there, test::log_topic, {}).leased(), 3'000U) << at;
    }
}

TEST_F(LogTest, ExpiresItsOldestSegments) {
    auto log = open();
    append_through(*log, 300);
    const auto all = log->segments();
    ASSERT_GT(all.size(), 4U);
    ASSERT_EQ(log->expire(2), Outcome::done);
    EXPECT_EQ(log->first(), all[2]);
    ASSERT_EQ(log->flush(), Outcome::done);
    EXPECT_THAT(losses(read_log(*log, disk.files())), IsEmpty());
    ASSERT_EQ(log->expire(1'000), Outcome::done);
    EXPECT_THAT(log->segments(), ElementsAre(all.back()));
    EXPECT_EQ(disk.files().count(layout::segment_name(all[0])), 0U);
    ASSERT_EQ(log->close(), Outcome::done);
    EXPECT_EQ(open()->first(), all.back());
}

TEST_F(LogTest, AnExpiredSegmentThatReappearsIsNoHole) {
    auto log = open();
    append_through(*log, 300);
    ASSERT_EQ(log->sync(), Outcome::done);
    const auto all = log->segments();
    const auto old = disk.files();
    ASSERT_EQ(log->expire(3), Outcome::done);
    auto files = disk.files();
    files[layout::segment_name(all[0])] = old.at(layout::segment_name(all[0]));
    test::SimulatedDisk after(files);
    const auto there = after.open();
    Log again(*there, test::log_topic, test::small_segments());
    EXPECT_EQ(again.first(), all[3]);
    EXPECT_THAT(losses(read_log(again, files)), IsEmpty());
    ASSERT_EQ(again.expire(0), Outcome::done);
    EXPECT_EQ(after.files().count(layout::segment_name(all[0])), 0U);
}

TEST_F(LogTest, RefusesAFileItDoesNotUnderstandAndLeavesItAlone) {
    auto log = open();
    append_through(*log, 10);
    ASSERT_EQ(log->close(), Outcome::done);
    auto files = disk.files();
    const auto name = layout::segment_name(500);
    files[name] = test::FileBytes(8'192, std::byte{'?'});
    test::SimulatedDisk after(files);
    const auto there = after.open();
    try {
        const Log again(*there, test::log_topic, {});
        ADD_FAILURE() << "opened";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::damaged);
        EXPECT_THAT(e.what(), HasSubstr(name));
    }
    EXPECT_EQ(after.files().at(name), files.at(name));
}

TEST_F(LogTest, AnUnreadablePageCostsItsEventsAlone) {
    auto log = open();
    append_through(*log, 48);
    ASSERT_EQ(log->sync(), Outcome::done);
    const Sequence begins = log->segments().back();
    disk.spoil(layout::segment_name(begins), 4'200, 4'300);
    log = open();
    EXPECT_EQ(log->next(), 49U);
    ASSERT_EQ(log->sync(), Outcome::done);
    EXPECT_EQ(log->durable(), 48U);
    const auto lost = losses(read_log(*log, disk.files()));
    ASSERT_EQ(lost.size(), 1U);
    EXPECT_EQ(lost[0].first, begins);
    EXPECT_LT(lost[0].last, 48U);
}

} // namespace
} // namespace shmbus::store
