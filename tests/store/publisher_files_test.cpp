// Named publishers on disk: each keeps its id, whatever happens to its file.
#include "daemon/store/publisher_files.hpp"

#include "daemon/store/state_file.hpp"
#include "simulated_files.hpp"

#include <cerrno>
#include <gmock/gmock.h>

namespace shmbus::store {
namespace {

using test::Loss;
using test::SimulatedDisk;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr layout::Uuid topic{5, 5};
using Records = std::map<std::string, PublisherRecord>;

class PublisherFilesTest : public testing::Test {
  protected:
    struct Loaded {
        Records records;
        Sequence through;
        std::vector<std::string> damaged;
    };
    static Loaded load(SimulatedDisk& disk, const layout::Uuid& of = topic) {
        PublisherFiles files(disk.open(), of);
        auto records = files.load();
        return {std::move(records), files.through(), files.damaged()};
    }
    static Loaded load(std::map<std::string, test::FileBytes> bytes) {
        SimulatedDisk damaged(std::move(bytes));
        return load(damaged);
    }
    SimulatedDisk disk;
    PublisherFiles files{disk.open(), topic};
};

TEST_F(PublisherFilesTest, HasNothingAtFirst) {
    const auto loaded = load(disk);
    EXPECT_THAT(loaded.records, IsEmpty());
    EXPECT_EQ(loaded.through, 0U);
    EXPECT_EQ(disk.operations(), 0U);
}

TEST_F(PublisherFilesTest, HasWhatWasSavedLast) {
    files.add("a", {.id = 7});
    files.add("b.8", {.id = 8});
    EXPECT_THAT(load(disk).records,
                ElementsAre(Pair("a", PublisherRecord{7, 0}), Pair("b.8", PublisherRecord{8, 0})));
    files.save({{"a", {7, 100}}}, 1'000);
    files.save({{"a", {7, 101}}, {"b.8", {8, 5}}}, 1'001);
    EXPECT_EQ(files.through(), 1'001U);
    const auto loaded = load(disk);
    EXPECT_THAT(loaded.records, ElementsAre(Pair("a", PublisherRecord{7, 101}),
                                            Pair("b.8", PublisherRecord{8, 5})));
    EXPECT_EQ(loaded.through, 1'001U);
    EXPECT_THAT(loaded.damaged, IsEmpty());
}

/// Whoever opens the topic reads again what such a file would have told.
TEST_F(PublisherFilesTest, ADamagedOneKeepsItsIdAndNothingIsTold) {
    files.add("a", {.id = 7});
    files.add("b", {.id = 8});
    files.save({{"a", {7, 100}}, {"b", {8, 50}}}, 1'000);
    files.save({{"a", {7, 101}}}, 1'001);
    for (const auto& filling : {test::FileBytes{}, test::FileBytes(8192, std::byte{0xff})}) {
        auto bytes = disk.files();
        ASSERT_TRUE(bytes.contains("a.7.pub"));
        bytes["a.7.pub"] = filling;
        const auto loaded = load(std::move(bytes));
        EXPECT_THAT(loaded.records, ElementsAre(Pair("a", PublisherRecord{7, 0}),
                                                Pair("b", PublisherRecord{8, 50})));
        EXPECT_THAT(loaded.damaged, ElementsAre("a"));
        EXPECT_EQ(loaded.through, 0U);
    }
}

/// An older record would have its publisher publish twice.
TEST_F(PublisherFilesTest, NoPageOfOneIsMissed) {
    files.add("a", {.id = 7});
    files.save({{"a", {7, 100}}}, 1'000);
    files.save({{"a", {7, 101}}}, 1'001);
    for (std::size_t page = 0; page < 2; ++page) {
        auto bytes = disk.files();
        bytes.at("a.7.pub").at(page * StateFile::slot_bytes + 64) ^= std::byte{1};
        const auto loaded = load(std::move(bytes));
        EXPECT_THAT(loaded.records, ElementsAre(Pair("a", PublisherRecord{7, 101}))) << page;
        EXPECT_THAT(loaded.damaged, IsEmpty());
    }
}

TEST_F(PublisherFilesTest, WithoutTheirExtentNothingIsTold) {
    files.add("a", {.id = 7});
    files.save({{"a", {7, 100}}}, 1'000);
    auto bytes = disk.files();
    ASSERT_EQ(bytes.erase("publishers"), 1U);
    const auto loaded = load(std::move(bytes));
    EXPECT_THAT(loaded.records, ElementsAre(Pair("a", PublisherRecord{7, 100})));
    EXPECT_EQ(loaded.through, 0U);
}

TEST_F(PublisherFilesTest, OneOfAnotherTopicIsDamaged) {
    files.add("a", {.id = 7});
    const auto loaded = load(disk, layout::Uuid{6});
    EXPECT_THAT(loaded.damaged, ElementsAre("a"));
    EXPECT_EQ(loaded.records.at("a"), (PublisherRecord{7, 0}));
}

TEST_F(PublisherFilesTest, LeavesAloneWhatIsNone) {
    auto bytes = disk.files();
    for (const auto* name : {"a.pub", "a.0.pub", "a.x.pub", "a.7x.pub", ".7.pub", "-a.7.pub",
                             "a.4294967296.pub", "a.7.pub.new", "a.7.sub", "1.seg"})
        bytes[name] = test::FileBytes(8192);
    const auto loaded = load(std::move(bytes));
    EXPECT_THAT(loaded.records, IsEmpty());
    EXPECT_THAT(loaded.damaged, IsEmpty());
}

/// At no moment of a crash is a record ahead of what is told, or a name without its id.
TEST_F(PublisherFilesTest, SurvivesEveryCrash) {
    files.add("a", {.id = 7});
    const auto added = disk.operations();
    for (std::uint64_t i = 1; i <= 4; ++i) files.save({{"a", {7, 10 * i}}}, 100 * i);
    for (std::size_t n = added; n <= disk.operations(); ++n) {
        for (std::uint64_t seed = 0; seed < 60; ++seed) {
            test::Crash crash{
                .operations = n, .loss = static_cast<Loss>(seed % 3), .seed = seed, .torn = {}};
            if (n < disk.operations() && disk.written_by(n) > 0)
                crash.torn = seed * 131 % disk.written_by(n);
            const auto loaded = load(disk.after(crash));
            ASSERT_THAT(loaded.damaged, IsEmpty()) << n;
            const auto& record = loaded.records.at("a");
            ASSERT_EQ(record.id, 7U);
            ASSERT_GE(record.last_event, loaded.through / 10)
                << n << ": more is told than there is";
        }
    }
    EXPECT_EQ(load(disk).through, 400U);
}

TEST_F(PublisherFilesTest, WhatFailsIsTriedAgain) {
    files.add("a", {.id = 7});
    files.save({{"a", {7, 10}}}, 100);
    disk.fail_at(0, ENOSPC, true);
    EXPECT_THROW(files.save({{"a", {7, 20}}}, 200), FileError);
    EXPECT_EQ(files.through(), 100U);
    disk.fail_no_more();
    const auto meanwhile = load(disk);
    EXPECT_LE(meanwhile.through, 100U);
    files.save({{"a", {7, 30}}}, 300);
    EXPECT_EQ(load(disk).records.at("a").last_event, 30U);
    EXPECT_EQ(load(disk).through, 300U);
}

} // namespace
} // namespace shmbus::store
