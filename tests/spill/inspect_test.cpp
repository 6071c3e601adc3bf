// A directory of segments, some of them not what they should be, as the public functions tell of it.
#include "segment_builder.hpp"
#include "shmbus/spill.hpp"
#include "support/temporary_directory.hpp"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace shmbus::test {
namespace {

namespace fs = std::filesystem;

class InspectTest : public testing::Test {
  protected:
    void write(SegmentBuilder& segment, std::size_t cut = 0) {
        const auto& bytes = segment.bytes();
        std::ofstream file(path(segment.header().first), std::ios::binary);
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size() - cut));
    }
    [[nodiscard]] fs::path path(Sequence first) const {
        return directory.path() / layout::segment_name(first);
    }
    /// "10 a", "12-13 lost": all that is there, and the same again of each report.
    std::string read(Sequence durable_through = 0) {
        return read_while([] {}, durable_through);
    }
    /// While this happens to the files behind the first one, when they have been looked at once.
    template <class Action> std::string read_while(Action action, Sequence durable_through = 0) {
        std::string text;
        std::vector<Gap> gaps;
        std::uint64_t events = 0;
        reports = read_spill(
            directory.path().string(),
            [&](const Event& event) {
                text += std::to_string(event.sequence()) + ' ' + std::string(event.text()) + ", ";
                if (++events == 1) action();
            },
            [&](const Gap& gap) {
                text += std::to_string(gap.first) + '-' + std::to_string(gap.last) + ' ' +
                        name_of(gap.reason) + ", ";
                gaps.push_back(gap);
            },
            durable_through);
        for (const auto& report : reports) events -= report.events;
        EXPECT_EQ(events, 0U);
        return text;
    }
    /// "10-11 event": of all files.
    [[nodiscard]] std::string damages() const {
        std::string text;
        for (const auto& report : reports)
            for (const auto& damage : report.damages)
                text += std::to_string(damage.first) + '-' + std::to_string(damage.last) + ' ' +
                        name_of(damage.fault) + ", ";
        return text;
    }
    TemporaryDirectory directory;
    std::vector<SegmentReport> reports;
};

TEST_F(InspectTest, TellsWhatEachFileHas) {
    SegmentBuilder one(10);
    one.event("a", 200).event("b", 100).tombstone(13, GapReason::aborted).footer();
    SegmentBuilder two(14);
    two.event("c", 300).sync_point(14).zeros(1000);
    write(one);
    write(two);
    EXPECT_EQ(read(), "10 a, 11 b, 12-13 aborted, 14 c, ");
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_EQ(reports[0].file, "00000000000000000010.seg");
    EXPECT_EQ(reports[0].last, 13U);
    EXPECT_EQ(reports[0].bytes, one.bytes().size());
    EXPECT_TRUE(reports[0].sealed);
    EXPECT_EQ(reports[0].events, 2U);
    EXPECT_EQ(reports[0].oldest, SegmentReport::Time(std::chrono::nanoseconds(100)));
    EXPECT_EQ(reports[0].newest, SegmentReport::Time(std::chrono::nanoseconds(200)));
    EXPECT_THAT(reports[0].gaps, testing::ElementsAre(Gap{12, 13, GapReason::aborted}));
    EXPECT_EQ(reports[1].first, 14U);
    EXPECT_EQ(reports[1].last, 14U);
    EXPECT_FALSE(reports[1].sealed);
    EXPECT_EQ(damages(), "");
}

TEST_F(InspectTest, AnEmptyOneHasNothing) {
    EXPECT_EQ(read(), "");
    EXPECT_TRUE(reports.empty());
    SegmentBuilder empty(10);
    empty.zeros(10'000);
    write(empty);
    EXPECT_EQ(read(), "");
    EXPECT_EQ(reports.at(0).last, 9U);
    EXPECT_EQ(reports.at(0).oldest, std::nullopt);
}

TEST_F(InspectTest, AnEventShowsAllOfIt) {
    const std::string key("\1\0\3\0key", 7);
    SegmentBuilder one(10);
    one.event("payload", 5, key);
    write(one);
    int events = 0;
    const auto look = [&](const Event& event) {
        ++events;
        EXPECT_FALSE(event.empty());
        EXPECT_TRUE(event.trusted());
        EXPECT_FALSE(event.in_place());
        EXPECT_EQ(event.text(), "payload");
        EXPECT_EQ(event.time(), SegmentReport::Time(std::chrono::nanoseconds(5)));
        EXPECT_FALSE(event.header(0).has_value());
    };
    const auto found = read_spill(directory.path().string(), look, {});
    EXPECT_EQ(events, 1);
    EXPECT_EQ(found.at(0).events, 1U);
}

TEST_F(InspectTest, NamesWhatIsDamaged) {
    SegmentBuilder one(10);
    for (const char* payload : {"a", "b", "c", "d", "e", "f"}) one.event(payload);
    one.footer();
    one.flip(one.offset(11) + layout::event_head_bytes); // payload
    one.flip(one.offset(12) + layout::event_head_bytes);
    one.flip(one.offset(14) + 16); // sequence
    SegmentBuilder two(16);
    two.event("g");
    write(one);
    write(two);
    EXPECT_EQ(read(), "10 a, 11-11 corrupt, 12-12 corrupt, 13 d, 14-14 corrupt, 15 f, 16 g, ");
    EXPECT_EQ(damages(), "11-12 event, 14-14 frame, ");
    EXPECT_THAT(reports.at(0).gaps, testing::ElementsAre(Gap{11, 12, GapReason::corrupt},
                                                         Gap{14, 14, GapReason::corrupt}));
}

TEST_F(InspectTest, ATombstoneIsNoDamage) {
    SegmentBuilder one(10);
    one.event("a").tombstone(11, GapReason::corrupt).event("b").sync_point(12);
    write(one);
    EXPECT_EQ(read(), "10 a, 11-11 corrupt, 12 b, ");
    EXPECT_EQ(damages(), "");
}

TEST_F(InspectTest, WhereTwoOverlapTheLaterIsRight) {
    SegmentBuilder one(10);
    one.event("a").event("old").event("old").tombstone(20, GapReason::lost);
    SegmentBuilder two(11);
    two.event("new").tombstone(12, GapReason::aborted).event("c");
    write(one);
    write(two);
    EXPECT_EQ(read(), "10 a, 11 new, 12-12 aborted, 13 c, ");
    EXPECT_EQ(reports.at(0).last, 10U);
}

TEST_F(InspectTest, ATornTailWasNeverThere) {
    SegmentBuilder one(10);
    one.event("a").sync_point(10).event("b").event(std::string(100, 'c'));
    write(one, 50);
    EXPECT_EQ(read(), "10 a, 11 b, ");
    EXPECT_EQ(reports.at(0).last, 11U);
    // Unless it is known to have been on disk.
    EXPECT_EQ(read(13), "10 a, 11 b, 12-12 corrupt, 13-13 corrupt, ");
    EXPECT_EQ(damages(), "12-12 event, 13-13 frame, ");
}

TEST_F(InspectTest, AHoleBeyondWhatWasOnDiskIsLost) {
    SegmentBuilder one(10);
    one.event("a").event("b").sync_point(11).event("c").event("d").event("e").zeros(500);
    one.flip(one.offset(12) + layout::event_head_bytes);
    write(one);
    EXPECT_EQ(read(), "10 a, 11 b, 12-12 lost, 13 d, 14 e, ");
    EXPECT_EQ(damages(), "");
    // A hole across the border is both.
    one.wipe(one.offset(11), one.offset(11) + 32);
    one.wipe(one.offset(12), one.offset(12) + 32);
    write(one);
    EXPECT_EQ(read(11), "10 a, 11-11 corrupt, 12-12 lost, 13 d, 14 e, ");
    EXPECT_EQ(read(13), "10 a, 11-11 corrupt, 12-12 corrupt, 13 d, 14 e, ");
    EXPECT_EQ(damages(), "11-12 frame, ");
}

TEST_F(InspectTest, ASyncPointBehindADamageSaysThatItWasOnDisk) {
    SegmentBuilder one(10);
    one.event("a").event("b").sync_point(11).event("c");
    one.flip(one.offset(10) + layout::event_head_bytes);
    write(one);
    EXPECT_EQ(read(), "10-10 corrupt, 11 b, 12 c, ");
}

TEST_F(InspectTest, WithADamagedHeaderAllOfItIsDamaged) {
    SegmentBuilder one(10);
    one.event("a").event("b");
    SegmentBuilder two(12);
    two.event("c").event("d");
    SegmentBuilder three(14);
    three.event("e");
    two.flip(40);
    write(one);
    write(two);
    write(three);
    EXPECT_EQ(read(), "10 a, 11 b, 12 c, 13 d, 14 e, "); // it has another copy
    two.flip(layout::segment_twin_offset + 48);
    write(two);
    EXPECT_EQ(read(), "10 a, 11 b, 12-13 corrupt, 14 e, ");
    EXPECT_EQ(damages(), "12-13 segment, ");
    EXPECT_EQ(reports.at(1).created, std::nullopt);
    fs::remove(path(14));
    EXPECT_EQ(read(), "10 a, 11 b, 12-12 corrupt, ");   // more is not known ...
    EXPECT_EQ(read(13), "10 a, 11 b, 12-13 corrupt, "); // ... but by the daemon
    fs::remove(path(10));
    EXPECT_EQ(read(), "12-12 corrupt, ");
}

TEST_F(InspectTest, WhatIsNoSegmentOfTheTopicIsDamage) {
    for (Sequence first = 10; first <= 14; ++first) {
        SegmentBuilder one(first);
        one.event("a");
        write(one);
    }
    auto stranger = SegmentBuilder(99).event("b");
    write(stranger);
    fs::rename(path(99), path(11));
    fs::remove(path(12));
    ASSERT_EQ(::mkfifo(path(12).c_str(), 0600), 0);
    fs::remove(path(13));
    fs::create_symlink(path(14), path(13));
    std::ofstream(directory.path() / "spare") << "no segment, and none by its name";
    EXPECT_EQ(read(), "10 a, 11-11 corrupt, 12-12 corrupt, 13-13 corrupt, 14 a, ");
    EXPECT_EQ(damages(), "11-11 segment, 12-12 segment, 13-13 segment, ");
}

TEST_F(InspectTest, AMissingFileIsDamage) {
    SegmentBuilder one(10);
    one.event("a").footer();
    SegmentBuilder two(15);
    two.event("b");
    write(one);
    write(two);
    EXPECT_EQ(read(), "10 a, 11-14 corrupt, 15 b, ");
    EXPECT_EQ(damages(), "11-14 frame, ");
}

/// A look at a file that grows may find what was written last and not what was before it.
TEST_F(InspectTest, NoMoreIsToldOfThanTheFirstLookFound) {
    SegmentBuilder one(10);
    one.event("a").footer();
    SegmentBuilder two(11);
    two.event("b").event("c").sync_point(12);
    SegmentBuilder later = two;
    later.event("d").event("e").sync_point(14);
    later.wipe(later.offset(13), later.offset(14));
    two.zeros(5000);
    write(one);
    write(two);
    EXPECT_EQ(read_while([&] { write(later); }), "10 a, 11 b, 12 c, ");
    EXPECT_EQ(damages(), "");
    EXPECT_EQ(read(), "10 a, 11 b, 12 c, 13-13 corrupt, 14 e, ");
    // It was sealed, and what was never used of it cut off.
    write(two);
    SegmentBuilder sealed(11);
    sealed.event("b").event("c").sync_point(12).footer();
    EXPECT_EQ(read_while([&] { write(sealed); }), "10 a, 11 b, 12 c, ");
    EXPECT_TRUE(reports.at(1).sealed);
}

TEST_F(InspectTest, AFileThatGoesMeanwhileHasExpired) {
    for (Sequence first = 10; first <= 16; first += 2) {
        SegmentBuilder one(first);
        one.event("a").event("b").footer();
        write(one);
    }
    const auto expire = [&] {
        fs::remove(path(10));
        fs::remove(path(12));
    };
    EXPECT_EQ(read_while(expire), "10 a, 11 b, 12-13 expired, 14 a, 15 b, 16 a, 17 b, ");
    EXPECT_EQ(damages(), "");
    EXPECT_EQ(read(), "14 a, 15 b, 16 a, 17 b, ");
}

TEST_F(InspectTest, Throws) {
    const auto code_of = [&] {
        try {
            (void)inspect_spill(directory.path().string());
        } catch (const Error& e) {
            return e.code();
        }
        return Errc{};
    };
    SegmentBuilder newer(10);
    newer.bytes()[8] = std::byte{2};
    newer.bytes()[layout::segment_twin_offset + 8] = std::byte{2};
    write(newer);
    EXPECT_EQ(code_of(), Errc::incompatible);
    auto good = SegmentBuilder(10).event("a");
    write(good);
    const auto fail = [](const Event&) { throw Error(Errc::damaged, "mine"); };
    EXPECT_THROW(read_spill(directory.path().string(), fail, {}), Error);
    fs::remove_all(directory.path());
    EXPECT_EQ(code_of(), Errc::system);
}

} // namespace
} // namespace shmbus::test
