#include "daemon/registry/incidents.hpp"

#include "daemon/inheritance_fixture.hpp"
#include "store/simulated_files.hpp"

namespace shmbus::registry {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using enum IncidentKind;

const layout::Uuid uuid{7};
const Holder who{
    .session = 1, .pid = 4321, .uid = 1000, .command = "worker", .unit = "worker.service"};

template <class List> std::vector<IncidentKind> kinds(const List& incidents) {
    std::vector<IncidentKind> found;
    for (const auto& incident : incidents) found.push_back(incident.kind);
    return found;
}

class IncidentsTest : public testing::Test {
  protected:
    std::unique_ptr<IncidentTable> table = std::make_unique<IncidentTable>();
    test::SimulatedDisk disk;

    [[nodiscard]] std::vector<Incident> saved(const layout::Uuid& topic) {
        return Incidents::load(*disk.open(), topic, 0, 10);
    }
};

TEST_F(IncidentsTest, AreWhatWasNoted) {
    Incidents incidents(*table, uuid);
    EXPECT_THAT(incidents.list(0, 10), IsEmpty());
    incidents.note({.kind = stolen, .name = "billing"}, who);
    incidents.note({.kind = lost, .first = 5, .last = 9});
    const auto all = incidents.list(0, 10);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].number, 1U);
    EXPECT_EQ(all[0].kind, stolen);
    EXPECT_EQ(all[0].pid, 4321U);
    EXPECT_EQ(all[0].uid, 1000U);
    EXPECT_EQ(all[0].command, "worker");
    EXPECT_EQ(all[0].unit, "worker.service");
    EXPECT_EQ(all[0].name, "billing");
    EXPECT_GT(all[0].time, std::chrono::system_clock::now() - patience);
    EXPECT_LE(all[0].time, all[1].time);
    EXPECT_EQ(all[1].first, 5U);
    EXPECT_EQ(all[1].last, 9U);
    EXPECT_EQ(all[1].command + all[1].unit + all[1].name, "");
    EXPECT_THAT(kinds(incidents.list(1, 10)), ElementsAre(lost));
    EXPECT_THAT(kinds(incidents.list(0, 1)), ElementsAre(stolen));
}

TEST_F(IncidentsTest, WhatComesAndGoesFlushesOutNothingElse) {
    Incidents incidents(*table, uuid);
    incidents.note({.kind = stalled, .first = 3, .last = 3}, who);
    for (int i = 0; i < 1'000; ++i) incidents.note({.kind = publisher_opened}, who);
    incidents.note({.kind = publisher_died}, who);
    const auto all = incidents.list(0, 1'000);
    ASSERT_EQ(all.size(), IncidentTable::of_each + 2);
    EXPECT_EQ(all.front().kind, stalled);
    EXPECT_EQ(all[1].number, 1'002 - IncidentTable::of_each) << "the last ones";
    EXPECT_EQ(all.back().kind, publisher_died);
    EXPECT_EQ(all.back().number, 1'002U);
}

TEST_F(IncidentsTest, GoOnWhereAnEarlierDaemonDied) {
    {
        Incidents incidents(*table, uuid);
        for (std::size_t i = 0; i < IncidentTable::of_each + 1; ++i)
            incidents.note({.kind = publisher_opened}, who);
        incidents.note({.kind = evicted}, who);
    }
    table->records[0].pid ^= 1; // it died in the middle of the newest but one
    Incidents incidents(*table, uuid);
    EXPECT_EQ(incidents.list(0, 1'000).size(), IncidentTable::of_each);
    incidents.note({.kind = publisher_closed}, who);
    const auto all = incidents.list(0, 1'000);
    EXPECT_EQ(all.size(), IncidentTable::of_each + 1) << "in the place of the torn one";
    EXPECT_EQ(all.back().number, IncidentTable::of_each + 3);
}

TEST_F(IncidentsTest, AreThoseOfTheirTopicAlone) {
    Incidents(*table, uuid).note({.kind = evicted}, who);
    EXPECT_THAT(Incidents(*table, layout::Uuid{8}).list(0, 10), IsEmpty());
}

TEST_F(IncidentsTest, LongNamesAreCut) {
    Incidents incidents(*table, uuid);
    incidents.note({.kind = stolen, .name = std::string(200, 'n')},
                   {.pid = 1, .command = std::string(40, 'c'), .unit = std::string(300, 'u')});
    const auto all = incidents.list(0, 10);
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].name, std::string(128, 'n'));
    EXPECT_EQ(all[0].command, std::string(16, 'c'));
    EXPECT_EQ(all[0].unit, std::string(64, 'u'));
}

TEST_F(IncidentsTest, TheFileHasThemForTheNextMemory) {
    Incidents incidents(*table, uuid);
    EXPECT_FALSE(incidents.has_unsaved()) << "it is kept nowhere";
    incidents.keep_in(disk.open());
    EXPECT_FALSE(incidents.has_unsaved());
    incidents.note({.kind = degraded});
    incidents.note({.kind = publisher_opened}, who);
    EXPECT_TRUE(incidents.has_unsaved());
    incidents.save();
    EXPECT_FALSE(incidents.has_unsaved());
    incidents.note({.kind = recovered});
    EXPECT_THAT(kinds(saved(uuid)), ElementsAre(degraded, publisher_opened));
    EXPECT_THAT(saved(layout::Uuid{8}), IsEmpty());

    const auto other = std::make_unique<IncidentTable>();
    Incidents next(*other, uuid);
    next.keep_in(disk.open());
    next.note({.kind = lost, .first = 1, .last = 2});
    EXPECT_THAT(kinds(next.list(0, 10)), ElementsAre(degraded, publisher_opened, lost));
    EXPECT_EQ(next.list(0, 10).back().number, 3U);
    next.save();
    EXPECT_THAT(kinds(saved(uuid)), ElementsAre(degraded, publisher_opened, lost));
}

TEST_F(IncidentsTest, WhatIsTornInTheFileIsLeftOut) {
    Incidents incidents(*table, uuid);
    incidents.keep_in(disk.open());
    for (int i = 0; i < 5; ++i) incidents.note({.kind = evicted}, who);
    incidents.save();
    const auto directory = disk.open();
    const auto file = directory->open("incidents", store::Directory::Access::write);
    const std::size_t third = (IncidentTable::of_each + 2) * sizeof(IncidentRecord);
    file->write_at(std::as_bytes(std::span("?", 1)), third + sizeof(IncidentRecord) / 2);
    EXPECT_EQ(saved(uuid).size(), 4U);
    file->truncate(third);
    EXPECT_EQ(saved(uuid).size(), 2U);
}

TEST_F(IncidentsTest, WhatCannotBeWrittenIsTriedAgain) {
    Incidents incidents(*table, uuid);
    incidents.keep_in(disk.open());
    incidents.note({.kind = evicted}, who);
    disk.fail_at(1, ENOSPC);
    EXPECT_THROW(incidents.save(), store::FileError);
    EXPECT_TRUE(incidents.has_unsaved());
    incidents.save();
    EXPECT_THAT(kinds(saved(uuid)), ElementsAre(evicted));
}

/// What daemon and clients do to a topic.
class NotedTest : public InheritanceFixture {
  protected:
    NotedTest() : topic(make("a", on_disk())), session(life->open_session()) {}
    std::vector<Incident> all() { return topics().incidents("a", 0, 1'000); }
    std::shared_ptr<Topic> topic;
    SessionId session;
};

TEST_F(NotedTest, WhoComesAndGoes) {
    const auto publisher = sessions().lease_publisher(session, topic, false, "till");
    const auto subscriber = sessions().lease_subscriber(session, topic, {.name = "billing"});
    EXPECT_THROW((void)sessions().lease_subscriber(session, topic, {.name = "billing"}), Error);
    (void)sessions().lease_subscriber(session, topic, {.name = "billing", .steal = true});
    sessions().release(session, publisher.lease);
    sessions().release(session, subscriber.lease);
    EXPECT_THAT(kinds(all()), ElementsAre(publisher_opened, subscriber_opened, stolen,
                                          publisher_closed, subscriber_closed));
    EXPECT_EQ(all()[0].name, "till");
    EXPECT_EQ(all()[2].name, "billing");
    EXPECT_EQ(all()[3].name, "till");
    EXPECT_EQ(all()[0].command, "worker");
}

TEST_F(NotedTest, WhoDiesAndWhatItHadBegun) {
    const auto publisher = sessions().lease_publisher(session, topic).entry;
    (void)sessions().lease_subscriber(session, topic, {.name = "billing"});
    for (const Sequence s : {1U, 2U})
        topic->view().ring.slot(s).stamp.store_release(
            layout::Stamp::slot(s, layout::SlotState::claimed, publisher.entry).word());
    (void)sessions().process_died(session);
    const auto noted = all();
    ASSERT_THAT(kinds(noted), ElementsAre(publisher_opened, subscriber_opened, publisher_died,
                                          subscriber_died, aborted));
    EXPECT_EQ(noted[3].name, "billing");
    EXPECT_EQ(noted[4].first, 1U);
    EXPECT_EQ(noted[4].last, 2U);
    EXPECT_EQ(noted[4].command, "worker");
}

TEST_F(NotedTest, WhatIsGivenUpWhenAPublisherEndsOrStandsStill) {
    const auto publisher = sessions().lease_publisher(session, topic).entry;
    const auto begin = [&](Sequence s) {
        topic->view().ring.slot(s).stamp.store_release(
            layout::Stamp::slot(s, layout::SlotState::claimed, publisher.entry).word());
        topic->view().ring.header().tail.store_release(s + 1);
    };
    begin(1);
    (void)sessions().thread_ended(session);
    begin(2);
    for (int look = 0; look < 3; ++look) topics().quarantine_stalled();
    const auto noted = all();
    ASSERT_THAT(kinds(noted), ElementsAre(publisher_opened, aborted, stalled));
    EXPECT_EQ(noted[1].last, 1U);
    EXPECT_EQ(noted[2].first, 2U);
    EXPECT_EQ(noted[2].command, "worker");
}

TEST_F(NotedTest, WhoIsEvictedOnce) {
    const auto reader = sessions().lease_subscriber(session, topic, {.name = "slow"}).entry.entry;
    auto& entry = topic->view().readers.entry(reader);
    const auto attach = layout::lease_of(entry.attach.load_acquire()) |
                        static_cast<std::uint64_t>(layout::ReaderMode::gate);
    entry.attach.store_release(attach);
    topics().look_for_incidents();
    EXPECT_THAT(kinds(all()), ElementsAre(subscriber_opened)) << "it is waited for";
    topic->view().ring.watch(reader).lossy.store_release(attach);
    for (int look = 0; look < 3; ++look) topics().look_for_incidents();
    ASSERT_THAT(kinds(all()), ElementsAre(subscriber_opened, evicted));
    EXPECT_EQ(all().back().name, "slow");
}

TEST_F(NotedTest, AreThereAfterTheDaemonsDeath) {
    (void)sessions().lease_publisher(session, topic);
    topic.reset();
    inherit();
    EXPECT_THAT(kinds(all()), ElementsAre(publisher_opened, adopted));
    EXPECT_EQ(all()[0].command, "worker");
}

TEST_F(NotedTest, AreThereWhileTheTopicSleepsAndAfter) {
    sessions().release(session, sessions().lease_publisher(session, topic).lease);
    topic.reset();
    for (int look = 0; look < 2; ++look) topics().look_for_sleepers();
    while (topics().put_to_sleep()) {
    }
    ASSERT_FALSE(topics().awake("a"));
    EXPECT_THAT(kinds(all()), ElementsAre(publisher_opened, publisher_closed));
    EXPECT_FALSE(topics().awake("a"));
    (void)sessions().lease_publisher(session, topics().find("a"));
    EXPECT_THAT(kinds(all()), ElementsAre(publisher_opened, publisher_closed, publisher_opened));
}

TEST_F(NotedTest, WhatWasLostWithTheMemory) {
    publish(*topic, 3);
    topics().look_for_incidents();
    topic.reset();
    inherit({}); // nobody kept it
    topic = topics().find("a");
    const auto noted = all();
    ASSERT_THAT(kinds(noted), ElementsAre(lost));
    EXPECT_EQ(noted[0].first, 4U);
    EXPECT_EQ(noted[0].last, topic->parameters().first_sequence - 1);
}

} // namespace
} // namespace shmbus::registry
