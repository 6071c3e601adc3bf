#include "tools/doctor_topics_fixture.hpp"

namespace shmbus::tools::doctor {
namespace {

SubscriptionInfo subscription(std::optional<Sequence> cursor, bool paused = false) {
    SubscriptionInfo one;
    one.name = "s";
    one.cursor = cursor;
    one.paused = paused;
    return one;
}

SubscriptionInfo held(Sequence cursor) {
    auto one = subscription(cursor);
    one.holder = peer(7);
    return one;
}

Findings findings_for(const SubscriptionInfo& one, TopicInfo topic = disk_topic()) {
    return findings_of_subscriptions({.now = std::move(topic), .subscriptions = {{one}}}, self);
}

TEST(DoctorSubscriptions, AreWell) {
    expect_none(findings_for(subscription(90)));
    expect_none(findings_for(subscription({})));
    expect_none(findings_for(subscription(100, true))); // paused, and nothing to come
    expect_none(findings_of({.now = memory_topic(), .subscriptions = {{}}}, self));
    expect_none(findings_of({.now = memory_topic()}, self));
}

TEST(DoctorSubscriptions, ArePaused) {
    expect_one(findings_for(subscription(98, true)), Severity::warning,
               "subscription 's' of topic 't' is paused, with 2 events to come",
               "shmbus --socket s subscription resume t s");
}

TEST(DoctorSubscriptions, HaveMissedEvents) {
    auto topic = disk_topic();
    topic.first = 50;
    expect_one(findings_for(subscription(47), topic), Severity::warning,
               "has not had 2 events that are gone", "--hold");
    expect_none(findings_for(subscription(49), topic));
    expect_none(findings_for(held(47), topic)); // it is being told
}

TEST(DoctorSubscriptions, LetFilesGrow) {
    auto topic = disk_topic();
    topic.options.hold = true;
    expect_one(
        findings_for(subscription(99), topic), Severity::warning,
        "nobody receives from subscription 's' of topic 't', and 1 event is kept on disk for "
        "it, up to 4G",
        "shmbus --socket s sub t --name s; or, if nobody needs it: shmbus --socket s "
        "subscription rm t s");
    expect_none(findings_for(held(99), topic));
    expect_none(findings_for(subscription(100), topic));
}

TEST(DoctorSubscriptions, OfAGroupHaveMembers) {
    auto topic = disk_topic();
    topic.options.hold = true;
    auto group = subscription(99);
    group.group.emplace();
    expect_one(findings_for(group, topic), Severity::warning, "nobody receives",
               "shmbus --socket s sub t --group s; or");
    group.group->members.push_back({.peer = peer(7)});
    expect_none(findings_for(group, topic));
    group.group->members[0].stalled = true;
    expect_one(findings_for(group, topic), Severity::warning,
               "its member pid 7 (cat) has not received for 30s, and others have its events",
               "see what it waits for");
}

TEST(DoctorSubscriptions, AreInMemory) {
    expect_one(findings_for(subscription(99), memory_topic()), Severity::note,
               "topic 't' is in memory and has 1 durable subscription", "--retention disk");
}

TEST(DoctorSubscriptions, AreAmongTheTopicsFindings) {
    const auto findings =
        findings_of({.now = disk_topic(), .subscriptions = {{subscription(98, true)}}}, self);
    EXPECT_EQ(the_one(findings).check, "subscription");
}

TEST(DoctorSubscriptions, HaveNamesThatNoShellMinds) {
    auto one = subscription(98, true);
    one.name = "a;b";
    expect_one(findings_for(one), Severity::warning, "", "resume t 'a;b'");
}

} // namespace
} // namespace shmbus::tools::doctor
