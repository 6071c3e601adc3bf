#include "daemon/config/settings.hpp"

#include "daemon/config/files.hpp"
#include "support/temporary_directory.hpp"

#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

namespace shmbus::config {
namespace {

using control::AccessList;
using control::Right;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

Settings read(const std::vector<std::string>& texts) {
    std::vector<File> files;
    for (const auto& text : texts) files.push_back({"f" + std::to_string(files.size() + 1), text});
    return read_settings(files);
}

template <class Work> std::string refusal(Work work) {
    try {
        (void)work();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::bad_argument);
        return e.what();
    }
    return "accepted";
}
std::string refused(const std::string& text) {
    return refusal([&] { return read({text}); });
}

TEST(Settings, WithoutAWordAreTheDefaults) {
    const auto settings = read({""});
    EXPECT_EQ(settings.limits, registry::Limits{});
    EXPECT_EQ(settings.access, control::AccessRules{});
    EXPECT_THAT(settings.topics, IsEmpty());
}

TEST(Settings, HaveEveryKey) {
    const auto settings = read({R"([Daemon]
Socket=/run/other.sock
StateDirectory=/srv/bus
MemoryOnly=yes
[Limits]
MemoryPerUser=2G
DiskPerUser=64G
Sessions=2000
SessionsPerUser=64
TopicsPerUser=100
SubscriptionsPerTopic=50
SubscriptionsPerUser=10
[Access]
Use=group:tellers
Administer=user:ann "group:domain admins"
[Topic orders]
Retention=disk
Full=reject
Capacity=1K
Slot=512
MaxEvent=64K
Pool=1M
EvictAfter=5s
HoldTimeout=20s
Sync=interval:250
Hold=on
KeepBytes=4G
KeepAge=2h
KeepEvents=1000
Publish=user:ann user:4711
Subscribe=*
Administer=
[Topic ticks]
Profile=fast
)"});
    EXPECT_EQ(settings.socket, "/run/other.sock");
    EXPECT_EQ(settings.state_directory, "/srv/bus");
    EXPECT_TRUE(settings.memory_only);
    EXPECT_EQ(settings.limits, (registry::Limits{.sessions = 2000,
                                                 .sessions_per_user = 64,
                                                 .topics_per_user = 100,
                                                 .subscriptions_per_topic = 50,
                                                 .subscriptions_per_user = 10,
                                                 .memory_per_user = 2ULL << 30U,
                                                 .disk_per_user = 64ULL << 30U}));
    EXPECT_EQ(settings.access.use, (AccessList{.groups = {"tellers"}}));
    EXPECT_EQ(settings.access.administer,
              (AccessList{.users = {"ann"}, .groups = {"domain admins"}}));
    const auto& orders = settings.access.topics.at("orders");
    EXPECT_EQ(orders.at(Right::publish), (AccessList{.users = {"ann", "4711"}}));
    EXPECT_EQ(orders.at(Right::subscribe), (AccessList{.everybody = true}));
    EXPECT_EQ(orders.at(Right::administer), AccessList{});
    EXPECT_EQ(settings.topics.at("orders").choice.options(),
              (TopicOptions{.full = FullPolicy::reject,
                            .capacity = 1024,
                            .slot_bytes = 512,
                            .max_event = 65'536,
                            .pool_bytes = 1U << 20U,
                            .evict_after_ms = 5'000,
                            .hold_timeout_ms = 20'000,
                            .sync = Sync::interval,
                            .sync_interval_ms = 250,
                            .keep_bytes = 4ULL << 30U,
                            .keep_age_ms = 7'200'000,
                            .keep_events = 1'000,
                            .hold = true}));
    EXPECT_EQ(settings.topics.at("orders").place.line, 16U);
    EXPECT_EQ(settings.topics.at("ticks").choice.options().retention, Retention::memory);
}

TEST(Settings, LaterOnesWinAndNothingIsTheDefault) {
    const auto settings = read({"[Limits]\nTopicsPerUser=1\nSessionsPerUser=2\nDiskPerUser=3\n"
                                "[Topic a]\nSlot=512\nHold=yes\nKeepAge=1h\n",
                                "[Limits]\nTopicsPerUser=10\nSessionsPerUser=\n"
                                "[Topic a]\nHold=no\nKeepAge=\nCapacity=64\n"});
    EXPECT_EQ(settings.limits.topics_per_user, 10U);
    EXPECT_EQ(settings.limits.sessions_per_user, registry::Limits{}.sessions_per_user);
    EXPECT_EQ(settings.limits.disk_per_user, 3U);
    EXPECT_EQ(settings.topics.at("a").choice.options(),
              (TopicOptions{.capacity = 64, .slot_bytes = 512}));
    EXPECT_EQ(settings.topics.at("a").choice.hold, false);
    EXPECT_EQ(settings.topics.at("a").place.file, "f1");
}

TEST(Settings, ListsGrowUntilTheyAreAssignedNothing) {
    const auto groups = [](const std::vector<std::string>& texts) {
        return read(texts).access.use.groups;
    };
    EXPECT_THAT(groups({"[Access]\nUse=group:a\n", "[Access]\nUse=group:b\n"}),
                ElementsAre("a", "b"));
    EXPECT_THAT(groups({"[Access]\nUse=group:a\nUse=\nUse=group:b\n"}), ElementsAre("b"));
    EXPECT_THAT(groups({"[Access]\nUse=\n"}), IsEmpty());
    EXPECT_THAT(groups({"[Access]\nUse=group:a\n[Access]\nUse=group:b\n"}), ElementsAre("a", "b"));
}

TEST(Settings, SayWhatIsWrongAndWhatWouldBeRight) {
    EXPECT_EQ(refused("[Deamon]\n"), "f1:1: no section is called 'Deamon'; is it Daemon?");
    EXPECT_EQ(refused("[Stuff]\n"),
              "f1:1: no section is called 'Stuff'; there are Daemon, Limits, Access, Topic NAME, "
              "Activate TOPIC/NAME");
    EXPECT_EQ(refused("[Limits]\n\nTopicPerUser=1\n"),
              "f1:3: no key of [Limits] is called 'TopicPerUser'; is it TopicsPerUser?");
    EXPECT_EQ(refused("[Access]\nFriends=*\n"),
              "f1:2: no key of [Access] is called 'Friends'; there are Administer, Use");
    EXPECT_EQ(refused("[Topic a]\nretention=disk\n"),
              "f1:2: no key of [Topic a] is called 'retention'; is it Retention?");
    EXPECT_EQ(refused("[Topic a]\nPool=much\n"),
              "f1:2: Pool=: 'much' is not a size such as 4096, 64K, 16M, 1G");
    EXPECT_EQ(refused("[Topic a]\nHold=perhaps\n"), "f1:2: Hold=: 'perhaps' is neither yes nor no");
    EXPECT_EQ(refused("[Topic a]\nPublish=ann\n"),
              "f1:2: Publish=: 'ann' is none of user:NAME, group:NAME and *");
    for (const char* word : {"user:", "group:", "people:x", "**", ":", "''"})
        EXPECT_THAT(refused(std::string("[Access]\nUse=") + word + "\n"),
                    StartsWith("f1:2: Use=: '"))
            << word;
    EXPECT_THAT(refused("[Topic a/b]\n"), StartsWith("f1:1: 'a/b' is no name of a topic"));
    EXPECT_THAT(refused("[Topic ]\n"), StartsWith("f1:1: no section is called 'Topic'"));
    EXPECT_EQ(refused("[Limits]\nSessions=0\n"),
              "f1:2: Sessions=: '0' is not a number from 1 to 1000000");
    EXPECT_EQ(refused("[Daemon]\nSocket=bus\n"), "f1:2: Socket=: 'bus' is no absolute path");
    EXPECT_EQ(refused("[Daemon]\nSocket=/a\tb\n"), "f1:2: Socket=: '/a\\x09b' has a tab in it");
    EXPECT_THAT(refused("[Daemon]\nSocket=/" + std::string(200, 'x') + "\n"),
                HasSubstr("at most 107 bytes"));
}

TEST(Settings, TopicsMustBeSuchAsCanBe) {
    EXPECT_THAT(refused("\n[Topic a]\nCapacity=1000\n"), StartsWith("f1:2: topic a: "));
    EXPECT_THAT(refused("[Topic a]\nRetention=memory\nKeepAge=1h\n"),
                HasSubstr("for topics on disk"));
}

class FilesTest : public testing::Test {
  protected:
    std::string write(const std::string& name, const std::string& text) {
        const auto path = directory.path() / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
        return path;
    }
    std::vector<std::string> names(const Source& source) {
        std::vector<std::string> names;
        for (const auto& one : read_files(source))
            names.push_back(std::filesystem::relative(one.name, directory.path()));
        return names;
    }
    test::TemporaryDirectory directory;
    const std::string file = directory.path() / "c.conf";
};

TEST_F(FilesTest, DropInsComeInTheOrderOfTheirNames) {
    write("c.conf", "");
    for (const char* name : {"b.conf", "a.conf", "10.conf", "c.conf~", ".d.conf", "README"})
        write(std::string("c.conf.d/") + name, "");
    EXPECT_THAT(names({file}),
                ElementsAre("c.conf", "c.conf.d/10.conf", "c.conf.d/a.conf", "c.conf.d/b.conf"));
}

TEST_F(FilesTest, NeedNotBeThereUnlessSomebodyAskedForThem) {
    EXPECT_THAT(names({file}), IsEmpty());
    EXPECT_THAT(names({""}), IsEmpty());
    EXPECT_THAT(refusal([&] {
                    return read_files({file, true});
                }),
                HasSubstr("there is no configuration " + file));
    write("c.conf.d/a.conf", "");
    EXPECT_THAT(names({file}), ElementsAre("c.conf.d/a.conf"));
}

TEST_F(FilesTest, AreReadNoFurtherThanTheyMayBeLarge) {
    EXPECT_THAT(refusal([] { return load({"/dev/zero"}); }), HasSubstr("is larger than"));
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    EXPECT_EQ(read_files({file}).at(0).text, "") << "nobody waits for a writer";
    for (int i = 0; i < 257; ++i) write("m.d/" + std::to_string(i) + ".conf", "");
    EXPECT_THAT(refusal([&] { return read_files({directory.path() / "m"}); }),
                HasSubstr("more than 256 files"));
}

class SourceTest : public testing::Test {
  protected:
    SourceTest() {
        ::setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
        ::setenv("XDG_CONFIG_HOME", "/home/x/cfg", 1);
        ::setenv("HOME", "/home/x", 1);
    }
};

TEST_F(SourceTest, GoesByTheBus) {
    using base::BusScope;
    const auto file = [](const std::string& socket, BusScope scope) {
        return find_source("", socket, scope).file;
    };
    EXPECT_EQ(file("", BusScope::system), "/etc/shmbus/shmbusd.conf");
    EXPECT_EQ(file("", BusScope::user), "/home/x/cfg/shmbus/shmbusd.conf");
    EXPECT_EQ(file("/run/shmbus.sock", BusScope::user), "/etc/shmbus/shmbusd.conf");
    EXPECT_EQ(file("/run/user/7/shmbus.sock", BusScope::system), "/home/x/cfg/shmbus/shmbusd.conf");
    EXPECT_EQ(file("/tmp/bus", BusScope::system), "") << "another bus is not what they are about";
    ::unsetenv("XDG_CONFIG_HOME");
    EXPECT_EQ(file("", BusScope::user), "/home/x/.config/shmbus/shmbusd.conf");
    ::unsetenv("HOME");
    EXPECT_EQ(file("", BusScope::user), "");
    const auto given = find_source("mine.conf", "/tmp/bus", BusScope::system);
    EXPECT_EQ(given.file, "mine.conf");
    EXPECT_TRUE(given.must_exist);
}

TEST(Settings, NameConsumers) {
    const auto settings = read({R"([Activate orders/mail]
Unit=mailer.service
[Activate orders/bill]
unit=bill@1.service
)",
                                "[Activate orders/mail]\nUnit=\nUnit=post.service\n"});
    EXPECT_EQ(consumers_of(settings),
              (activation::Consumers{{{"orders", "mail"}, "post.service"},
                                     {{"orders", "bill"}, "bill@1.service"}}));
}

TEST(Settings, RefuseConsumersThatAreNone) {
    EXPECT_THAT(refused("[Activate orders]\nUnit=a.service\n"),
                StartsWith("f1:1: 'orders' is no subscription: write [Activate TOPIC/NAME]"));
    EXPECT_THAT(refused("[Activate ../mail]\nUnit=a.service\n"),
                StartsWith("f1:1: '..' is no name of a topic"));
    EXPECT_THAT(refused("[Activate a/b/c]\nUnit=a.service\n"),
                StartsWith("f1:1: 'b/c' is no name of a subscription"));
    EXPECT_THAT(refused("\n[Activate a/b]\n"), StartsWith("f1:2: [Activate a/b] names no unit"));
    EXPECT_THAT(refused("[Activate a/b]\nUnit=mail@.service\n"),
                StartsWith("f1:2: Unit=: 'mail@.service' is no name of a service"));
    EXPECT_THAT(refused("[Activate a/b]\nUnits=mail.service\n"), HasSubstr("is it Unit?"));
}

} // namespace
} // namespace shmbus::config
