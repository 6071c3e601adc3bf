// Where a bus keeps its topics: who may use it, and what a crash leaves of making and removing one.
#include "daemon/store/state_directory.hpp"

#include "daemon/store/state_file.hpp"
#include "daemon/store/topic_record.hpp"
#include "support/temporary_directory.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/stat.h>

namespace shmbus::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class StateDirectoryTest : public testing::Test {
  protected:
    [[nodiscard]] std::string path(const std::string& below = "") const {
        return temporary.path() / "some/where" / below;
    }
    template <class Work> Error error_of(Work work) {
        try {
            work();
        } catch (const Error& e) {
            return e;
        }
        ADD_FAILURE() << "nothing was thrown";
        return {Errc::system, ""};
    }
    test::TemporaryDirectory temporary;
};

TEST_F(StateDirectoryTest, MakesWhatIsMissingForItsUserAlone) {
    const StateDirectory state(path());
    EXPECT_THAT(state.topics(), IsEmpty());
    for (const char* const name : {"", "topics", "removed"}) {
        struct stat status {};
        ASSERT_EQ(::stat(path(name).c_str(), &status), 0) << name;
        EXPECT_EQ(status.st_mode & 07777U, 0700U) << name;
    }
}

TEST_F(StateDirectoryTest, BelongsToOneProcessAtATime) {
    {
        const StateDirectory state(path());
        const Error error = error_of([&] { const StateDirectory other(path()); });
        EXPECT_EQ(error.code(), Errc::busy);
        EXPECT_THAT(error.what(), HasSubstr("--state-dir"));
    }
    EXPECT_NO_THROW(StateDirectory{path()});
}

TEST_F(StateDirectoryTest, OfANewerVersionIsRefused) {
    { const StateDirectory state(path()); }
    const auto top = open_directory(path());
    StateFile bus(*top, "bus", {});
    auto record = *bus.record();
    record[16] = std::byte{2}; // the format
    bus.write_twice(record);
    const Error error = error_of([&] { const StateDirectory state(path()); });
    EXPECT_EQ(error.code(), Errc::incompatible);
    EXPECT_THAT(error.what(), HasSubstr("newer version (format 2"));
    EXPECT_THAT(error.what(), HasSubstr("use a newer shmbusd"));
    record[16] = std::byte{1};
    bus.write_twice(record);
    EXPECT_NO_THROW(StateDirectory{path()}) << "nothing else has changed";
}

TEST_F(StateDirectoryTest, IsADirectory) {
    const std::string file = temporary.path() / "file";
    std::ofstream(file) << "something";
    const Error error = error_of([&] { const StateDirectory state(file); });
    EXPECT_EQ(error.code(), Errc::bad_argument);
    EXPECT_EQ(error.what(), file + " is no directory; choose another --state-dir");
    EXPECT_EQ(fs::file_size(file), 9U);
}

TEST_F(StateDirectoryTest, IsNobodyElses) {
    { const StateDirectory state(path()); }
    const auto refusal = [&] {
        return std::string(error_of([&] { StateDirectory{path()}; }).what());
    };
    ASSERT_EQ(::chmod(path().c_str(), 0757), 0);
    EXPECT_THAT(refusal(), HasSubstr("everybody may write to"));
    ASSERT_EQ(::chmod(path().c_str(), 0700), 0);
    if (::geteuid() != 0) return; // who else may give it away
    for (const char* const below : {"", "topics", "removed"}) {
        ASSERT_EQ(::chown(path(below).c_str(), 65'534, 65'534), 0);
        EXPECT_THAT(refusal(), HasSubstr("is user 65534's, not user 0's"));
        ASSERT_EQ(::chown(path(below).c_str(), 0, 0), 0);
    }
    EXPECT_NO_THROW(StateDirectory{path()});
}

/// By whoever may write there.
TEST_F(StateDirectoryTest, FollowsNoLinks) {
    const StateDirectory state(path());
    const auto victim = temporary.path() / "victim";
    std::ofstream(victim) << "precious";
    fs::create_symlink(victim, path("socket.new"));
    state.belong_to("/somewhere");
    std::string text;
    std::ifstream(victim) >> text;
    EXPECT_EQ(text, "precious");
    std::ifstream(path("socket")) >> text;
    EXPECT_EQ(text, "/somewhere");
}

TEST_F(StateDirectoryTest, KnowsItsTopicsAndNothingElse) {
    StateDirectory state(path());
    EXPECT_NE(state.make("a"), nullptr);
    EXPECT_NE(state.make("b.c"), nullptr);
    state.commit();
    fs::create_directory(path("topics/-no-name"));
    EXPECT_THAT(state.topics(), UnorderedElementsAre("a", "b.c"));
    EXPECT_EQ(error_of([&] { (void)state.make("a"); }).code(), Errc::busy);
    EXPECT_THROW((void)state.open("d"), FileError);
}

TEST_F(StateDirectoryTest, FreesANameAtOnceAndItsFilesLater) {
    StateDirectory state(path());
    (void)state.make("a")->create("file");
    state.set_aside("a", "1");
    EXPECT_THAT(state.topics(), IsEmpty());
    EXPECT_NE(state.make("a"), nullptr);
    EXPECT_TRUE(fs::exists(path("removed/1/file")));
    state.discard("1");
    EXPECT_FALSE(fs::exists(path("removed/1")));
    EXPECT_NO_THROW(state.discard("1")) << "it is gone already";
}

TEST_F(StateDirectoryTest, TakesAwayWhatARemovalHasLeft) {
    {
        StateDirectory state(path());
        (void)state.make("a")->create("file");
        state.set_aside("a", "1");
    }
    const StateDirectory state(path());
    EXPECT_THAT(fs::directory_iterator(path("removed")), fs::directory_iterator());
}

class TopicRecordTest : public StateDirectoryTest {
  protected:
    StateDirectory state{path()};
    std::unique_ptr<Directory> directory = state.make("a");
};

TEST_F(TopicRecordTest, SaysWhatATopicWasMadeWith) {
    TopicOptions options;
    options.full = FullPolicy::reject;
    options.capacity = 64;
    options.slot_bytes = 512;
    options.max_event = 1000;
    options.pool_bytes = 1 << 20;
    options.evict_after_ms = 2;
    options.hold_timeout_ms = 3;
    options.retention = Retention::disk;
    options.sync = Sync::interval;
    options.sync_interval_ms = 5;
    options.keep_bytes = 6;
    options.keep_age_ms = 7;
    options.keep_events = 8;
    options.hold = true;
    const layout::Uuid uuid{1, 2, 3};
    write_record(*directory, {uuid, options, 1000});
    const auto record = read_record(*directory);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->uuid, uuid);
    EXPECT_EQ(record->options, options);
    EXPECT_EQ(record->creator, 1000U);
}

TEST_F(TopicRecordTest, IsNotThereOrDamagedWhichIsNotTheSame) {
    EXPECT_FALSE(read_record(*directory));
    write_record(*directory, {});
    std::ofstream(path("topics/a/topic")) << std::string(8192, 'x');
    EXPECT_EQ(error_of([&] { (void)read_record(*directory); }).code(), Errc::damaged);
}

} // namespace
} // namespace shmbus::store
