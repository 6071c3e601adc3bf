// Which segments go, by every limit, and what it takes to find out.
#include "daemon/store/retention.hpp"
#include "support/temporary_directory.hpp"
#include "workload.hpp"

#include <algorithm>
#include <fstream>
#include <gmock/gmock.h>

namespace shmbus::store {
namespace {

constexpr std::uint64_t segment_bytes = 100;

/// Segments of ten events each; the time of an event is its sequence.
std::vector<SegmentFacts> ten_each(std::size_t count) {
    std::vector<SegmentFacts> facts;
    for (std::size_t i = 0; i < count; ++i)
        facts.push_back({i * 10 + 1, i * 10 + 10, segment_bytes});
    return facts;
}

std::uint64_t ten_times(std::size_t i) { return i * 10 + 10; }

std::size_t gone(const Limits& limits, const Situation& situation = {}) {
    return expendable(ten_each(10), limits, situation, ten_times);
}

TEST(Retention, KeepsEverythingWithoutLimits) {
    EXPECT_EQ(gone({}, {.now_ns = 1'000'000}), 0U);
    EXPECT_EQ(expendable({}, {.max_bytes = 0}, {}, ten_times), 0U);
}

TEST(Retention, ByBytesKeepsNoMoreThanThat) {
    EXPECT_EQ(gone({.max_bytes = 1'000}), 0U);
    EXPECT_EQ(gone({.max_bytes = 999}), 1U);
    EXPECT_EQ(gone({.max_bytes = 500}), 5U);
    EXPECT_EQ(gone({.max_bytes = 0}), 9U) << "the last one stays";
}

TEST(Retention, ByEventsKeepsAtLeastThatMany) {
    EXPECT_EQ(gone({.max_events = 100}), 0U);
    EXPECT_EQ(gone({.max_events = 91}), 0U);
    EXPECT_EQ(gone({.max_events = 90}), 1U);
    EXPECT_EQ(gone({.max_events = 1}), 9U);
    EXPECT_EQ(gone({.max_events = 0}), 9U);
}

TEST(Retention, ByAgeKeepsASegmentAsLongAsAnythingInIt) {
    EXPECT_EQ(gone({.max_age_ns = 50}, {.now_ns = 60}), 0U);
    EXPECT_EQ(gone({.max_age_ns = 50}, {.now_ns = 61}), 1U);
    EXPECT_EQ(gone({.max_age_ns = 50}, {.now_ns = 100}), 4U);
    EXPECT_EQ(gone({.max_age_ns = 50}, {.now_ns = 100'000}), 9U);
    EXPECT_EQ(gone({.max_age_ns = 50}, {.now_ns = 0}), 0U) << "a clock that was set back";
}

TEST(Retention, AHoldKeepsWhatIsAboveIt) {
    EXPECT_EQ(gone({.max_bytes = 0}, {.hold = 35}), 3U);
    EXPECT_EQ(gone({.max_bytes = 0}, {.hold = 39}), 3U);
    EXPECT_EQ(gone({.max_bytes = 0}, {.hold = 40}), 4U);
    EXPECT_EQ(gone({.max_bytes = 0}, {.hold = 0}), 0U);
    EXPECT_EQ(gone({.max_bytes = 900}, {.hold = 95}), 1U) << "it asks for nothing to go";
}

TEST(Retention, AHoldEndsAtItsCap) {
    EXPECT_EQ(gone({.max_bytes = 0, .hold_cap_bytes = 700}, {.hold = 0}), 3U);
    EXPECT_EQ(gone({.max_bytes = 0, .hold_cap_bytes = 700}, {.hold = 50}), 5U);
    EXPECT_EQ(gone({.max_bytes = 0, .hold_cap_bytes = 1'000}, {.hold = 0}), 0U);
    EXPECT_EQ(gone({.hold_cap_bytes = 0}, {.hold = 0}), 9U);
}

TEST(Retention, TheLimitThatTakesMostCounts) {
    EXPECT_EQ(gone({.max_age_ns = 50, .max_bytes = 500, .max_events = 90}, {.now_ns = 61}), 5U);
    EXPECT_EQ(gone({.max_age_ns = 50, .max_bytes = 500, .max_events = 20}, {.now_ns = 61}), 8U);
}

TEST(Retention, AsksForTheAgeOfNoMoreThanItMust) {
    std::size_t asked = 0;
    const auto count_asked = [&](std::size_t i) {
        ++asked;
        return ten_times(i);
    };
    EXPECT_EQ(expendable(ten_each(10), {.max_bytes = 500}, {.now_ns = 1'000}, count_asked), 5U);
    EXPECT_EQ(asked, 0U);
    EXPECT_EQ(expendable(ten_each(10), {.max_age_ns = 50}, {.now_ns = 100}, count_asked), 4U);
    EXPECT_EQ(asked, 5U);
}

class CatalogTest : public testing::Test {
  protected:
    test::SimulatedDisk disk;
    std::unique_ptr<Directory> directory = disk.open();
    Log log{*directory, test::log_topic, test::small_segments()};
    Catalog catalog{log, *directory, test::log_topic};
};

TEST_F(CatalogTest, KnowsWhatIsInEachSegment) {
    EXPECT_TRUE(catalog.update().empty());
    for (Sequence last = 50; last <= 300; last += 50) {
        test::append_through(log, last);
        ASSERT_EQ(log.sync(), Outcome::done);
        if (last == 200) {
            ASSERT_EQ(log.expire(2), Outcome::done);
        }
        const auto facts = catalog.update();
        Catalog fresh(log, *directory, test::log_topic);
        EXPECT_TRUE(std::ranges::equal(facts, fresh.update()));
        ASSERT_EQ(facts.size(), log.segments().size());
        const auto files = disk.files();
        for (std::size_t i = 0; i < facts.size(); ++i) {
            EXPECT_EQ(facts[i].first, log.segments()[i]);
            EXPECT_EQ(facts[i].bytes, files.at(layout::segment_name(facts[i].first)).size());
            if (i + 1 == facts.size()) break;
            std::uint64_t latest = 0;
            for (Sequence s = 1; s <= facts[i].last; ++s)
                if (!test::is_aborted(s)) latest = std::max(latest, test::time_of(s));
            EXPECT_EQ(catalog.max_time(i), latest);
            EXPECT_EQ(facts[i].last + 1, facts[i + 1].first);
        }
        EXPECT_EQ(facts.back().last, last);
        EXPECT_EQ(catalog.max_time(facts.size() - 1), ~std::uint64_t{0});
    }
}

TEST_F(CatalogTest, ReadsNothingButTheHeadersItIsAskedFor) {
    test::append_through(log, 400);
    const auto before = disk.bytes_read();
    ASSERT_GT(catalog.update().size(), 4U);
    EXPECT_EQ(disk.bytes_read(), before);
    (void)catalog.max_time(1);
    EXPECT_EQ(disk.bytes_read(), before + layout::segment_header_bytes);
}

// The one file costs itself, not the topic that it fills its disk.
TEST_F(CatalogTest, GoesOnWhereAHeaderIsDamagedOrAFileIsGone) {
    test::append_through(log, 400);
    ASSERT_EQ(log.sync(), Outcome::done);
    const auto& firsts = log.segments();
    disk.spoil(layout::segment_name(firsts[2]), 0, layout::segment_header_bytes);
    directory->remove(layout::segment_name(firsts[1]));
    const auto facts = catalog.update();
    ASSERT_EQ(facts.size(), firsts.size());
    EXPECT_EQ(facts[1].bytes, 0U);
    const auto third = read_header(*directory, test::log_topic, firsts[3]).header.max_time_before;
    EXPECT_EQ(catalog.max_time(0), third);
    EXPECT_EQ(catalog.max_time(1), third);
}

/// Sealed segments of 64 MiB on a real disk, sparse: nothing but a header and a footer.
class HundredGibibytes {
  public:
    static constexpr std::uint64_t bytes_each = std::uint64_t{64} << 20U;
    static constexpr Sequence events_each = 600'000;
    static constexpr std::size_t count = 1'600;

    explicit HundredGibibytes(Directory& directory) {
        for (std::size_t i = 0; i < count; ++i) {
            layout::SegmentHeader header{};
            header.topic = test::log_topic;
            header.first = i * events_each + 1;
            header.salt = i;
            header.max_time_before = i * events_each;
            header.durable_through = header.first - 1;
            header.capacity = bytes_each;
            const Sequence next = header.first + events_each;
            layout::FooterSummary summary{};
            summary.last = next - 1;
            summary.max_time = summary.durable_through = next - 1;
            std::vector<std::byte> footer(layout::footer_frame_bytes(0));
            const auto at = bytes_each - footer.size();
            layout::FrameWriter(header).footer(footer.data(), at, next, summary, {});
            const auto file = directory.create(layout::segment_name(header.first));
            file->write_at(layout::segment_header_page(header), 0);
            file->write_at(footer, at);
        }
    }
};

// How much is read is counted, not timed: by the process, of its own reads.
std::uint64_t bytes_read_by_this_process() {
    std::ifstream io("/proc/self/io");
    std::string word;
    std::uint64_t value = 0;
    while (io >> word >> value)
        if (word == "rchar:") return value;
    throw std::runtime_error("no rchar in /proc/self/io");
}

TEST(HundredGibibytesOfLog, AreOpenedSoughtAndExpiredByNamesHeadersAndFooters) {
    const test::TemporaryDirectory temporary;
    const auto directory = open_directory(temporary.path());
    const HundredGibibytes segments(*directory);
    auto before = bytes_read_by_this_process();
    Log log(*directory, test::log_topic, {});
    EXPECT_EQ(log.first(), 1U);
    EXPECT_EQ(log.next(), HundredGibibytes::count * HundredGibibytes::events_each + 1);
    EXPECT_EQ(log.durable(), log.next() - 1);
    EXPECT_LT(bytes_read_by_this_process() - before, 100'000U);

    before = bytes_read_by_this_process();
    Catalog catalog(log, *directory, test::log_topic);
    const auto facts = catalog.update();
    ASSERT_EQ(facts.size(), HundredGibibytes::count);
    const auto max_time = [&](std::size_t i) { return catalog.max_time(i); };
    const std::uint64_t half = HundredGibibytes::bytes_each * HundredGibibytes::count / 2;
    const auto count = expendable(facts, {.max_bytes = half}, {}, max_time);
    EXPECT_LT(bytes_read_by_this_process() - before, 10'000U) << "their sizes say enough";
    const auto age = HundredGibibytes::count / 2 * HundredGibibytes::events_each;
    before = bytes_read_by_this_process();
    EXPECT_EQ(expendable(facts, {.max_age_ns = age}, {.now_ns = log.next()}, max_time), count);
    EXPECT_LT(bytes_read_by_this_process() - before, (count + 4) * layout::segment_header_bytes);
    EXPECT_EQ(count, HundredGibibytes::count / 2);
    ASSERT_EQ(log.expire(count), Outcome::done);
    EXPECT_EQ(log.first(), half / HundredGibibytes::bytes_each * HundredGibibytes::events_each + 1);
    EXPECT_EQ(directory->list().size(), HundredGibibytes::count / 2 + 1) << "and the state file";

    // The time of an event is its sequence here. Which segment it is in, the headers say.
    before = bytes_read_by_this_process();
    const Sequence wanted = log.next() - 3 * HundredGibibytes::events_each;
    const auto& firsts = log.segments();
    const auto found = firsts[spill::segment_at_time(
        firsts.size(),
        [&](std::size_t i) {
            return read_header(*directory, test::log_topic, firsts[i]).header.max_time_before;
        },
        wanted)];
    EXPECT_LE(found, wanted);
    EXPECT_GT(found + HundredGibibytes::events_each, wanted);
    EXPECT_LT(bytes_read_by_this_process() - before, 20 * layout::segment_header_bytes);
}

} // namespace
} // namespace shmbus::store
