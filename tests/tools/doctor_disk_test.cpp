#include "support/temporary_directory.hpp"
#include "tools/doctor/disk.hpp"
#include "tools/doctor_fixture.hpp"

#include <filesystem>
#include <fstream>
#include <limits>

namespace shmbus::tools::doctor {
namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30U;

DiskFacts well() {
    return {.directory = "/state",
            .is_visible = true,
            .file_system = "ext4",
            .is_read_only = false,
            .bytes = 100 * gib,
            .free_bytes = 5 * gib,
            .files = 1'000,
            .free_files = 10,
            .used_bytes = 0};
}

std::vector<TopicInfo> topics(std::uint64_t keep_bytes, bool hold = false) {
    TopicInfo one;
    one.name = "one";
    one.options.keep_bytes = keep_bytes;
    one.options.hold = hold;
    TopicInfo other;
    other.name = "other";
    other.options.retention = Retention::memory;
    return {one, other};
}

/// Whose directories are all there.
Findings found(DiskFacts facts, const std::vector<TopicInfo>& topics, std::uint32_t user = 7) {
    for (const auto& topic : topics) facts.topics_there.push_back(topic.name);
    return findings_of(facts, topics, user);
}

TEST(DoctorDisk, IsWell) {
    expect_none(found(well(), topics(4 * gib)));
    expect_none(found({}, topics(4 * gib)));
    auto hidden = well();
    hidden.is_visible = false;
    hidden.is_read_only = true;
    expect_none(found(hidden, {}));
}

TEST(DoctorDisk, IsReadOnly) {
    auto facts = well();
    facts.is_read_only = true;
    facts.free_bytes = 0; // as of any that is made to be read
    expect_one(found(facts, {}), Severity::error, "read-only (ext4)", "remount,rw");
}

TEST(DoctorDisk, IsFull) {
    auto facts = well();
    facts.free_bytes = gib;
    expect_one(found(facts, {}), Severity::warning, "has 1G left, and 1G are to stay free",
               "du -xsh /state/topics/*");
    facts.bytes = gib;
    expect_none(found(facts, {}));
}

TEST(DoctorDisk, IsSmallForWhatIsToBeKept) {
    expect_one(found(well(), topics(5 * gib)), Severity::note, "may keep 5G, have 0",
               "--keep-bytes");
    expect_one(found(well(), topics(2 * gib, true)), Severity::note, "may keep 8G", "");
    expect_one(found(well(), topics(std::numeric_limits<std::uint64_t>::max() / 2, true)),
               Severity::note, "may keep", "");
    auto facts = well();
    facts.used_bytes = gib;
    expect_none(found(facts, topics(5 * gib)));
    facts.used_bytes.reset();
    expect_none(found(facts, topics(5 * gib)));
    expect_none(found(well(), topics(0))); // without a limit: as much as there is room for
}

TEST(DoctorDisk, HasNoMoreFiles) {
    auto facts = well();
    facts.free_files = 0;
    expect_one(found(facts, {}), Severity::error, "all of its 1000 inodes", "du --inodes");
    facts.files = 0;
    expect_none(found(facts, {}));
}

TEST(DoctorDisk, IsInMemory) {
    auto facts = well();
    facts.file_system = "tmpfs";
    expect_one(found(facts, {}), Severity::warning, "is in memory (tmpfs)", "--state-dir");
}

TEST(DoctorDisk, HasTopicsThatTheDaemonHasNot) {
    auto facts = well();
    facts.topics_there = {"one", "two"};
    EXPECT_EQ(unlisted(facts, topics(0)), std::vector<std::string>{"two"});
    const auto finding = unavailable(facts, "two", "topic two cannot be opened: why");
    EXPECT_EQ(finding.topic, "two");
    expect_one({finding}, Severity::error, "cannot be opened: why",
               "shmbus spill verify /state/topics/two");
}

TEST(DoctorDisk, HasNotWhatTheDaemonLists) {
    auto facts = well();
    const auto one = the_one(findings_of(facts, topics(0), 7));
    EXPECT_EQ(one.topic, "one"); // the other is in memory
    expect_one({one}, Severity::warning, "directory of topic 'one' is not in /state/topics",
               "put it back");
    facts.used_bytes.reset(); // nobody has looked
    expect_none(findings_of(facts, topics(0), 7));
}

TEST(DoctorDisk, CannotBeLookedAt) {
    DiskFacts facts{.directory = "/state", .unread = "/state/topics", .error = ENOENT};
    expect_one(found(facts, {}, 0), Severity::warning, "there is no such directory", "put it back");
    expect_one(found(facts, {}, 7), Severity::warning, "keeps topics in /state/topics", "");
    facts.error = EACCES;
    expect_one(found(facts, {}, 0), Severity::warning,
               "/state/topics cannot be read: Permission denied", "ls -ld /state/topics");
    EXPECT_FALSE(facts.is_hidden_from(0));
    EXPECT_TRUE(facts.is_hidden_from(7));
    expect_none(found(facts, {}, 7)); // who may not is told elsewhere
    facts.error = EIO;
    expect_one(found(facts, {}, 7), Severity::warning, "cannot be read: Input/output error", "");
}

TEST(DoctorDisk, IsLookedAt) {
    const test::TemporaryDirectory directory;
    const std::string state = directory.path();
    std::filesystem::create_directories(state + "/topics/b");
    std::filesystem::create_directories(state + "/topics/a");
    std::filesystem::create_directories(state + "/topics/.not-a-name");
    std::ofstream(state + "/topics/a/1.seg") << "12345";
    const auto facts = look_at_disk(state);
    EXPECT_TRUE(facts.is_visible);
    EXPECT_EQ(facts.used_bytes, 5U);
    EXPECT_EQ(facts.topics_there, (std::vector<std::string>{"a", "b"}));
    EXPECT_GT(facts.bytes, facts.free_bytes);
    EXPECT_NE(facts.file_system, "unknown");
    EXPECT_EQ(facts.unread, "");
    const auto missing = look_at_disk(state + "/nowhere");
    EXPECT_FALSE(missing.is_visible);
    EXPECT_EQ(missing.unread, state + "/nowhere");
    EXPECT_EQ(missing.error, ENOENT);
    EXPECT_FALSE(look_at_disk("").is_visible);
    std::filesystem::remove_all(state + "/topics");
    EXPECT_FALSE(look_at_disk(state).used_bytes);
    EXPECT_EQ(look_at_disk(state).unread, state + "/topics");
    EXPECT_EQ(look_at_disk(state).error, ENOENT);
}

TEST(DoctorDisk, IsFoundByATopicOrByWhatItSaysItself) {
    const test::TemporaryDirectory directory;
    const std::string socket = directory.path() / "s";
    EXPECT_EQ(state_directory_of(socket, "/a/topics/t"), "/a");
    EXPECT_EQ(state_directory_of(socket, ""), "");
    std::filesystem::create_directory(socket + ".state");
    std::ofstream(socket + ".state/socket") << "/another\n";
    EXPECT_EQ(state_directory_of(socket, ""), "");
    std::ofstream(socket + ".state/socket") << socket << '\n';
    EXPECT_EQ(state_directory_of(socket, ""), socket + ".state");
}

} // namespace
} // namespace shmbus::tools::doctor
