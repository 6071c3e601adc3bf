#include "tools/doctor_topics_fixture.hpp"

#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::tools::doctor {
namespace {

/// With a subscriber, pid 7, that has come so far; looked at twice.
TopicFacts with_subscriber(Sequence before, Sequence now) {
    TopicFacts facts{memory_topic(), memory_topic()};
    facts.before->subscribers = {peer(7, before)};
    facts.now.subscribers = {peer(7, now)};
    return facts;
}

TEST(DoctorUsers, AreWell) {
    expect_none(findings_of_users(with_subscriber(90, 100)));
    expect_none(findings_of_users(with_subscriber(85, 85))); // there is room for one more
    auto facts = with_subscriber(84, 84);
    facts.now.subscribers[0].lossy = true;
    expect_none(findings_of_users(facts));
    facts = with_subscriber(84, 84);
    facts.now.options.full = FullPolicy::drop_oldest;
    expect_none(findings_of_users(facts));
    facts = with_subscriber(1, 1);
    facts.now.options.retention = Retention::disk;
    expect_none(findings_of_users(facts));
}

TEST(DoctorUsers, StandStillAndAreWaitedFor) {
    const auto facts = with_subscriber(84, 84);
    EXPECT_TRUE(needs_another_look(facts.now));
    expect_one(findings_of_users(facts), Severity::error,
               "pid 7 (cat) has 16 events of topic 't' to acknowledge, which is all that the ring "
               "has room for, and has acknowledged none in a second: publishers wait for that",
               "--lossy");
    auto rejecting = facts;
    rejecting.now.options.full = FullPolicy::reject;
    expect_one(findings_of_users(rejecting), Severity::error, "publishers are refused", "");
    auto once = facts;
    once.before.reset();
    expect_none(findings_of_users(once));
}

TEST(DoctorUsers, AreSlowAndAreWaitedFor) {
    expect_one(findings_of_users(with_subscriber(80, 84)), Severity::warning,
               "has acknowledged 4 in a second", "ps -o pid,stat,time,cmd 7");
}

TEST(DoctorUsers, AreStoppedAndWaitedFor) {
    auto facts = with_subscriber(84, 84);
    facts.stopped = {7};
    expect_one(findings_of_users(facts), Severity::error,
               "pid 7 (cat) has 16 events of topic 't' to acknowledge and is stopped: publishers "
               "wait",
               "kill -CONT 7");
    facts = with_subscriber(90, 90);
    facts.stopped = {7};
    expect_one(findings_of_users(facts), Severity::warning, "will wait once the ring is full",
               "kill -CONT 7");
}

TEST(DoctorUsers, AreStoppedAndHoldNobodyUp) {
    auto facts = with_subscriber(100, 100);
    facts.stopped = {7};
    expect_one(findings_of_users(facts), Severity::warning,
               "pid 7 (cat), a subscriber of topic 't', is stopped, by SIGSTOP or a debugger, 0 "
               "events behind",
               "kill -CONT 7");
    facts = {memory_topic()};
    facts.now.publishers = {peer(8)};
    facts.stopped = {8, 9}; // the latter has gone meanwhile
    expect_one(findings_of_users(facts), Severity::warning, "pid 8 (cat), a publisher of topic 't'",
               "kill -CONT 8");
}

TEST(DoctorUsers, AreStoppedInTheMiddleOfAnEvent) {
    auto facts = with_subscriber(95, 95);
    facts.now.publishers = {peer(8)};
    facts.now.subscribers.push_back(peer(9, 95));
    for (auto& subscriber : facts.now.subscribers) subscriber.waits_for_pid = 8;
    EXPECT_TRUE(needs_another_look(facts.now));
    expect_none(findings_of_users(facts)); // it may be just about to finish it
    facts.stopped = {8};
    expect_one(findings_of_users(facts), Severity::error,
               "pid 8 (cat) has begun event 96 of topic 't' and not finished it, as it is stopped",
               "kill -CONT 8; or end it: kill -KILL 8");
}

TEST(DoctorUsers, DoNotFinishAnEventForASecond) {
    auto facts = with_subscriber(95, 95);
    facts.before->subscribers[0].waits_for_pid = 8;
    facts.now.subscribers[0].waits_for_pid = 8;
    expect_one(findings_of_users(facts), Severity::error, "pid 8 has begun event 96",
               "kill -CONT 8");
    facts.now.subscribers[0].cursor = 96; // that was another one
    expect_none(findings_of_users(facts));
}

TEST(DoctorUsers, WhoWaitsForSuchAPublisherIsNotToBlame) {
    auto facts = with_subscriber(84, 84);
    facts.before->subscribers[0].waits_for_pid = 8;
    facts.now.subscribers[0].waits_for_pid = 8;
    expect_one(findings_of_users(facts), Severity::error, "pid 8 has begun event 85", "");
}

TEST(DoctorUsers, LoseEvents) {
    auto facts = with_subscriber(82, 83);
    facts.now.options.full = facts.before->options.full = FullPolicy::drop_oldest;
    EXPECT_TRUE(needs_another_look(facts.now));
    expect_one(
        findings_of_users(facts), Severity::warning,
        "pid 7 (cat) is too slow for topic 't': 1 event that it has not acknowledged is gone",
        "a topic on disk");
    facts.before->subscribers[0].cursor = 84; // it had not begun, or was in time
    expect_none(findings_of_users(facts));
}

TEST(DoctorUsers, AreLookedAt) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_NAME, "dog"); // it was a cat when it said hello
        ::raise(SIGSTOP);
        ::_exit(0);
    }
    ASSERT_EQ(::waitpid(child, nullptr, WUNTRACED), child);
    const auto pid = static_cast<std::uint32_t>(child);
    auto topic = memory_topic();
    topic.publishers = {peer(pid)};
    topic.subscribers = {peer(static_cast<std::uint32_t>(::getpid()))};
    EXPECT_EQ(stopped_users_of(topic), std::set<std::uint32_t>{pid});
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
}

} // namespace
} // namespace shmbus::tools::doctor
