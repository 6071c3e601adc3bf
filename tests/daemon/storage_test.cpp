// Topics on disk in the registry: they come back, and what cannot costs itself alone.
#include "daemon/storage_fixture.hpp"

#include <fstream>

namespace shmbus::registry {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

using StorageTest = StorageFixture;

TEST_F(StorageTest, BringsATopicBack) {
    layout::Uuid uuid{};
    {
        Run run(path());
        EXPECT_TRUE(run.registry.create("a", on_disk(), false, user));
        const auto topic = run.registry.find("a");
        uuid = topic->uuid();
        EXPECT_EQ(publish(*topic, 1'000), 1'000U);
        EXPECT_THAT(run.registry.close_all(patience), IsEmpty());
    }
    Run run(path());
    const auto topic = run.registry.find("a");
    EXPECT_EQ(topic->uuid(), uuid);
    EXPECT_EQ(topic->options(), on_disk());
    EXPECT_EQ(topic->creator(), user);
    EXPECT_EQ(topic->head_hint(), 1'000U);
    EXPECT_EQ(topic->first_hint(), 1U);
    const auto kept = topic->disk()->kept();
    EXPECT_EQ(kept.written, 1'000U);
    EXPECT_EQ(kept.durable, 1'000U);
    EXPECT_EQ(publish(*topic, 1), 1'001U);
}

TEST_F(StorageTest, UsesNoSequenceAgainAfterAnEndWithoutOrder) {
    Sequence last = 0;
    {
        Run run(path());
        run.registry.create("a", on_disk(), false, user);
        last = publish(*run.registry.find("a"), 10);
    }
    Run run(path());
    EXPECT_GT(publish(*run.registry.find("a"), 1), last + 1) << "the sequences that were promised";
}

TEST_F(StorageTest, IsAskedForWhereThereIsNone) {
    Registry registry;
    const Error error = refusal([&] { registry.create("a", on_disk(), false, user); });
    EXPECT_EQ(error.code(), Errc::unsupported);
    EXPECT_THAT(error.what(), HasSubstr("--state-dir"));
}

TEST_F(StorageTest, ChecksAndComparesWhatConcernsTheDisk) {
    Run run(path());
    run.registry.create("a", on_disk(), false, user);
    EXPECT_FALSE(run.registry.create("a", on_disk(), true, user));
    auto other = on_disk();
    other.retention = Retention::memory;
    const auto differs = [&] {
        return std::string(refusal([&] { run.registry.create("a", other, true, user); }).what());
    };
    EXPECT_THAT(differs(), HasSubstr("retention is disk, not memory"));
    other = on_disk();
    other.sync = Sync::interval;
    other.keep_bytes += 1;
    other.keep_age_ms += 1;
    other.keep_events += 1;
    other.hold = true;
    for (const char* const option :
         {"sync is group, not interval", "keep-bytes", "keep-age", "keep-events", "hold"})
        EXPECT_THAT(differs(), HasSubstr(option));
    for (const std::uint32_t interval : {0U, 3'600'001U}) {
        other.sync_interval_ms = interval;
        EXPECT_EQ(refusal([&] { run.registry.create("b", other, false, user); }).code(),
                  Errc::bad_argument);
    }
    other = on_disk();
    other.sync = static_cast<Sync>(3);
    EXPECT_EQ(refusal([&] { run.registry.create("b", other, false, user); }).code(),
              Errc::bad_argument);
}

TEST_F(StorageTest, ForgetsATopicThatIsRemoved) {
    {
        Run run(path());
        run.registry.create("a", on_disk(), false, user);
        const auto topic = run.registry.find("a");
        publish(*topic, 100);
        run.registry.remove(topic, false);
        run.registry.create("a", on_disk(), false, user);
        EXPECT_EQ(publish(*run.registry.find("a"), 1), 1U);
        EXPECT_THAT(run.registry.close_all(patience), IsEmpty());
    }
    Run run(path());
    EXPECT_EQ(run.registry.find("a")->head_hint(), 1U);
    EXPECT_TRUE(fs::is_empty(path() / "removed"));
}

TEST_F(StorageTest, ADamagedTopicCostsThatTopicAndKeepsItsName) {
    {
        Run run(path());
        for (const char* const name : {"a", "b"}) run.registry.create(name, on_disk(), false, user);
        EXPECT_THAT(run.registry.close_all(patience), IsEmpty());
    }
    std::ofstream(path() / "topics/a/topic") << std::string(8192, 'x');
    Run run(path());
    EXPECT_NO_THROW((void)run.registry.find("b"));
    EXPECT_EQ(refusal([&] { (void)run.registry.find("a"); }).code(), Errc::damaged);
    EXPECT_EQ(refusal([&] { run.registry.create("a", on_disk(), true, user); }).code(),
              Errc::damaged);
}

TEST_F(StorageTest, WhatWasNeverMadeToTheEndIsGone) {
    { const Run run(path()); }
    fs::create_directory(path() / "topics/a");
    Run run(path());
    EXPECT_EQ(refusal([&] { (void)run.registry.find("a"); }).code(), Errc::no_such_topic);
    EXPECT_TRUE(run.registry.create("a", on_disk(), false, user));
}

TEST_F(StorageTest, ItsOwnEntryIsNobodyElses) {
    Run run(path());
    run.registry.create("a", on_disk(), false, user);
    const auto topic = run.registry.find("a");
    std::size_t leased = 0;
    while (const auto lease = topic->lease_subscriber(holder)) {
        topic->abandon_subscriber(lease->entry);
        if (++leased % 2 == 0) continue; // half of them are reaped while the others are there
        if (leased > 1'000) break;
    }
    EXPECT_EQ(leased, topic->parameters().max_readers - 1);
    (void)topic->reap();
    EXPECT_EQ(publish(*topic, 200), 200U) << "it still reads";
}

} // namespace
} // namespace shmbus::registry
