// Topics on disk that nobody uses: they take nothing, are seen as ever, and are there when they are wanted.
#include "daemon/storage_fixture.hpp"

#include "daemon/registry/limits.hpp"
#include "support/descriptors.hpp"

#include <fstream>
#include <future>
#include <sys/resource.h>
#include <unistd.h>

namespace shmbus::registry {
namespace {

namespace fs = std::filesystem;
using test::descriptors;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SleepingTest : public StorageFixture {
  protected:
    SleepingTest() { run = std::make_unique<Run>(path()); }
    [[nodiscard]] Registry& topics() const { return run->registry; }
    std::shared_ptr<Topic> make(const std::string& name, int events = 0) const {
        topics().create(name, on_disk(), false, creator);
        auto topic = topics().find(name);
        if (events != 0) publish(*topic, events);
        return topic;
    }
    uid_t creator = user;
    /// What nobody uses: each has to be looked at twice.
    void put_to_sleep() const {
        for (int look = 0; look < 2; ++look) topics().look_for_sleepers();
        while (topics().put_to_sleep()) {
        }
    }
    void put_to_sleep(const std::string& name) const {
        put_to_sleep();
        ASSERT_FALSE(topics().awake(name));
    }
    void end() {
        ASSERT_THAT(topics().close_all(patience), IsEmpty());
        run.reset();
    }
    struct Seen {
        Sequence first;
        Sequence head;
        Sequence written;
        Sequence durable;
        layout::Uuid uuid;
        TopicOptions options;
        uid_t creator;
        std::string directory;
        bool operator==(const Seen&) const = default;
    };
    /// As control shows it.
    static Seen seen(const Registry::Entry& entry) {
        if (!entry.awake)
            return {entry.extent.first,   entry.extent.head, entry.extent.written,
                    entry.extent.durable, entry.record.uuid, entry.record.options,
                    entry.record.creator, entry.directory};
        const auto& topic = *entry.awake;
        const auto kept = topic.disk()->kept();
        return {topic.first_hint(), topic.head_hint(), kept.written,    kept.durable,
                topic.uuid(),       topic.options(),   topic.creator(), topic.disk()->path()};
    }
    [[nodiscard]] std::vector<std::string> listed() const {
        std::vector<std::string> names;
        for (const auto& entry : topics().list("", 100).topics) names.push_back(entry.name);
        return names;
    }
    static bool is_mapped(const std::string& what) {
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);)
            if (line.find(what) != std::string::npos) return true;
        return false;
    }
    std::unique_ptr<Run> run;
};

TEST_F(SleepingTest, FallsAsleepWhenNobodyHasUsedItForAWhile) {
    make("a", 10);
    topics().look_for_sleepers();
    EXPECT_FALSE(topics().put_to_sleep());
    EXPECT_TRUE(topics().awake("a")) << "at the first look";
    topics().look_for_sleepers();
    EXPECT_FALSE(topics().put_to_sleep());
    EXPECT_FALSE(topics().awake("a"));
}

TEST_F(SleepingTest, StaysAwakeWhenSomebodyCameBetweenTheLookAndItsTurn) {
    const auto topic = make("a", 10);
    for (int look = 0; look < 2; ++look) topics().look_for_sleepers();
    const auto entry = topic->lease_publisher(holder)->entry;
    EXPECT_FALSE(topics().put_to_sleep());
    EXPECT_TRUE(topics().awake("a"));
    topic->abandon_publisher(entry);
    (void)topic->reap();
}

TEST_F(SleepingTest, TakesNeitherMemoryNorDescriptors) {
    const auto before = descriptors();
    const std::weak_ptr<Topic> topic = make("a", 1'000);
    EXPECT_TRUE(is_mapped("shmbus-ring-a"));
    EXPECT_GT(descriptors(), before);
    put_to_sleep("a");
    EXPECT_TRUE(topic.expired());
    EXPECT_FALSE(is_mapped("shmbus-ring-a"));
    EXPECT_FALSE(is_mapped("shmbus-readers-a"));
    EXPECT_FALSE(is_mapped("shmbus-books-a"));
    EXPECT_EQ(descriptors(), before);
}

TEST_F(SleepingTest, StaysAwakeWhileSomebodyUsesIt) {
    const auto topic = make("a", 10);
    const auto sleeps = [&] {
        put_to_sleep();
        return !topics().awake("a");
    };
    const auto publisher = topic->lease_publisher(holder)->entry;
    EXPECT_FALSE(sleeps());
    topic->abandon_publisher(publisher);
    (void)topic->reap();
    const auto subscriber = topic->lease_subscriber(holder)->entry;
    EXPECT_FALSE(sleeps());
    topic->abandon_subscriber(subscriber);
    (void)topic->reap();
    topic->set_state(layout::RingState::draining);
    EXPECT_FALSE(sleeps()) << "it would forget that";
    topic->set_state(layout::RingState::open);
    EXPECT_TRUE(sleeps());
}

TEST_F(SleepingTest, TopicsInMemoryNeverSleep) {
    auto options = on_disk();
    options.retention = Retention::memory;
    topics().create("m", options, false, user);
    put_to_sleep();
    EXPECT_TRUE(topics().awake("m"));
}

TEST_F(SleepingTest, IsSeenAsEverAndSleepsOn) {
    make("a", 1'000);
    make("empty");
    std::map<std::string, Seen> before;
    for (const auto* name : {"a", "empty"}) before.emplace(name, seen(topics().look(name)));
    EXPECT_EQ(before.at("a").head, 1'000U);
    put_to_sleep("a");
    const auto check = [&] {
        for (const auto& entry : topics().list("", 10).topics) {
            auto as_listed = seen(entry);
            as_listed.directory = before.at(entry.name).directory;
            EXPECT_EQ(as_listed, before.at(entry.name)) << entry.name;
            EXPECT_EQ(seen(topics().look(entry.name)), before.at(entry.name)) << entry.name;
            EXPECT_FALSE(topics().awake(entry.name));
        }
        EXPECT_THAT(listed(), ElementsAre("a", "empty"));
    };
    check();
    end();
    run = std::make_unique<Run>(path());
    check(); // by a daemon that never had it awake
    for (const auto* name : {"a", "empty"}) {
        (void)topics().find(name);
        EXPECT_EQ(seen(topics().look(name)), before.at(name));
    }
}

TEST_F(SleepingTest, IsListedAmongThoseAwakeInTheOrderOfNames) {
    for (const auto* name : {"b", "d", "f"}) make(name);
    put_to_sleep("b");
    for (const auto* name : {"a", "c", "e", "g"}) make(name);
    EXPECT_THAT(listed(), ElementsAre("a", "b", "c", "d", "e", "f", "g"));
    std::vector<std::string> names;
    for (bool more = true; more;) {
        const auto page = topics().list(names.empty() ? "" : names.back(), 2);
        for (const auto& entry : page.topics) names.push_back(entry.name);
        more = page.more;
    }
    EXPECT_EQ(names, listed());
}

TEST_F(SleepingTest, WakesUpWithAllItHad) {
    const auto uuid = make("a", 1'000)->uuid();
    for (Sequence round = 0; round < 5; ++round) {
        put_to_sleep("a");
        const auto topic = topics().find("a");
        EXPECT_EQ(topic->uuid(), uuid);
        EXPECT_EQ(topic->first_hint(), 1U);
        EXPECT_EQ(topic->head_hint(), 1'000 + round);
        EXPECT_EQ(publish(*topic, 1), 1'001 + round) << "no sequence is left out";
    }
    end();
    run = std::make_unique<Run>(path());
    EXPECT_EQ(topics().look("a").extent.head, 1'005U);
}

TEST_F(SleepingTest, IsRemovedAsAnyOther) {
    const auto uuid = make("a", 100)->uuid();
    put_to_sleep("a");
    topics().remove(topics().find("a"), false);
    EXPECT_EQ(refusal([&] { (void)topics().look("a"); }).code(), Errc::no_such_topic);
    EXPECT_THAT(listed(), IsEmpty());
    const auto again = make("a");
    EXPECT_NE(again->uuid(), uuid);
    EXPECT_EQ(publish(*again, 1), 1U);
    end();
    run = std::make_unique<Run>(path());
    EXPECT_EQ(topics().look("a").extent.head, 1U);
}

TEST_F(SleepingTest, KeepsItsName) {
    make("a", 10);
    put_to_sleep("a");
    EXPECT_EQ(refusal([&] { topics().create("a", on_disk(), false, user); }).code(),
              Errc::topic_exists);
    EXPECT_FALSE(topics().create("a", on_disk(), true, user));
    auto other = on_disk();
    other.keep_bytes += 1;
    const auto differs = refusal([&] { topics().create("a", other, true, user); });
    EXPECT_EQ(differs.code(), Errc::different_options);
    EXPECT_THAT(differs.what(), HasSubstr("keep-bytes"));
    EXPECT_FALSE(topics().awake("a")) << "none of this wakes it";
}

/// So many may be there, and so few awake.
class CrowdedTest : public SleepingTest {
  protected:
    CrowdedTest() {
        EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
        rlimit few = before_;
        few.rlim_cur = 200; // half of them for topics
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
        creator = ::geteuid(); // who can have all
    }
    ~CrowdedTest() override { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
    static constexpr std::size_t many = 60;
    static constexpr std::size_t most_awake = 100 / descriptors_per_topic;
    [[nodiscard]] std::size_t awake() const {
        std::size_t count = 0;
        for (const auto& name : listed()) count += topics().awake(name) ? 1U : 0U;
        return count;
    }
    static std::string name(std::size_t i) { return "t" + std::to_string(i); }

  private:
    rlimit before_{};
};

TEST_F(CrowdedTest, WhatNobodyUsesMakesRoomForOthers) {
    for (std::size_t i = 0; i < many; ++i) make(name(i), i % 10 == 0 ? 5 : 0);
    EXPECT_EQ(listed().size(), many);
    EXPECT_EQ(awake(), most_awake);
    for (std::size_t i = 0; i < many; ++i)
        EXPECT_EQ(topics().find(name(i))->head_hint(), i % 10 == 0 ? 5U : 0U);
    EXPECT_EQ(awake(), most_awake);
}

TEST_F(CrowdedTest, WhatWasNotUsedForLongerGoesFirst) {
    for (std::size_t i = 0; i < most_awake; ++i) {
        if (i == most_awake - 1) topics().look_for_sleepers();
        make(name(i));
    }
    make("new");
    EXPECT_TRUE(topics().awake(name(most_awake - 1)));
    for (std::size_t i = 1; i < most_awake - 1; ++i) make("new" + std::to_string(i));
    EXPECT_TRUE(topics().awake(name(most_awake - 1)));
    EXPECT_TRUE(topics().awake("new")) << "nor is it what came last";
}

TEST_F(CrowdedTest, WhatIsInUseMakesNone) {
    std::vector<std::pair<std::shared_ptr<Topic>, std::uint32_t>> used;
    for (std::size_t i = 0; i < most_awake; ++i) {
        const auto topic = make(name(i), 1);
        used.emplace_back(topic, topic->lease_publisher(holder)->entry);
    }
    const auto open = descriptors();
    const auto refused = refusal([&] { make("more"); });
    EXPECT_EQ(refused.code(), Errc::limit);
    EXPECT_THAT(refused.what(), HasSubstr("LimitNOFILE="));
    EXPECT_EQ(descriptors(), open);
    used.back().first->abandon_publisher(used.back().second);
    (void)used.back().first->reap();
    used.pop_back();
    EXPECT_NO_THROW(make("more"));
    EXPECT_FALSE(topics().awake(name(most_awake - 1)));
    EXPECT_NO_THROW((void)topics().find(name(most_awake - 1))) << "the one in its place is unused";
    for (const auto& [topic, entry] : used) topic->abandon_publisher(entry);
}

TEST_F(CrowdedTest, OneUserLeavesRoomForOthers) {
    creator = user;
    std::vector<std::pair<std::shared_ptr<Topic>, std::uint32_t>> used;
    const auto use = [&](std::size_t i) {
        const auto topic = make(name(i));
        used.emplace_back(topic, topic->lease_publisher(holder)->entry);
    };
    constexpr std::size_t most = (100 - 100 / 5) / descriptors_per_topic;
    static_assert(most < most_awake);
    for (std::size_t i = 0; i < most; ++i) use(i);
    EXPECT_THAT(refusal([&] { use(most); }).what(), HasSubstr("user 1000 has 6 topics in use"));
    creator = user + 1;
    EXPECT_NO_THROW(use(most));
    for (const auto& [topic, entry] : used) topic->abandon_publisher(entry);
}

TEST_F(SleepingTest, DamagedMeanwhileItCostsItselfAlone) {
    for (const auto* name : {"a", "b"}) make(name, 10);
    put_to_sleep("a");
    end();
    run = std::make_unique<Run>(path());
    for (const auto& file : fs::directory_iterator(path() / "topics/a"))
        if (file.path().extension() == ".seg") fs::resize_file(file.path(), 100);
    EXPECT_THAT(listed(), testing::Contains("b"));
    EXPECT_NO_THROW((void)topics().find("b"));
    EXPECT_NE(refusal([&] { (void)topics().find("a"); }).code(), Errc::no_such_topic)
        << "there is one, and why it is of no use is told";
    EXPECT_NE(refusal([&] { topics().create("a", on_disk(), false, user); }).code(), Errc{});
}

TEST_F(SleepingTest, ADurableSubscriptionIsWhereItWas) {
    {
        const auto topic = make("a", 50);
        auto& subscriptions = topic->subscriptions();
        auto grant = subscriptions.open("s", holder, false);
        const base::Mapping page(grant.page, base::Access::read_write, layout::cursor_page_bytes);
        reinterpret_cast<layout::CursorPage*>(page.bytes().data())->cursor.store_release(42);
        std::promise<std::string> kept;
        subscriptions.persist("s", grant.hold,
                              [&](const std::string& problem) { kept.set_value(problem); });
        EXPECT_EQ(kept.get_future().get(), "");
        subscriptions.release("s", grant.hold);
    }
    put_to_sleep("a");
    const auto expect_listed = [&](bool is_awake) {
        EXPECT_EQ(topics().awake("a") != nullptr, is_awake);
        const auto all = topics().subscriptions("a");
        ASSERT_EQ(all.size(), 1U);
        EXPECT_EQ(all[0].name, "s");
        EXPECT_EQ(all[0].record.cursor, 42U);
        EXPECT_FALSE(all[0].holder);
    };
    expect_listed(false);
    expect_listed(false);
    const auto topic = topics().find("a");
    expect_listed(true);
    EXPECT_EQ(topic->subscriptions().open("s", holder, false).cursor, 42U);
}

TEST_F(SleepingTest, ANamedPublisherIsWhereItWas) {
    std::uint32_t id = 0;
    {
        const auto topic = make("a");
        id = topic->disk()->named()->id_of("clerk");
        const auto leased = topic->lease_publisher(holder, 1, false, id);
        ring::SharedWriter writer(topic->view(), leased->entry);
        ring::Draft draft{};
        draft.header.publisher = id;
        draft.header.chunk = layout::no_chunk;
        draft.header.event_id = 77;
        ring::Run published;
        ASSERT_EQ(writer.publish({&draft, 1}, patience, published), PublishOutcome::published);
        ASSERT_EQ(writer.wait_durable(published.last, patience), Durability::durable);
        topic->abandon_publisher(leased->entry);
        (void)topic->reap();
    }
    put_to_sleep("a");
    const auto topic = topics().find("a");
    EXPECT_EQ(topic->disk()->named()->id_of("clerk"), id);
    EXPECT_EQ(topic->lease_publisher(holder, 1, false, id)->last_event, 77U);
}

} // namespace
} // namespace shmbus::registry
