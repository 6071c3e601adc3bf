#include "tools/doctor_topics_fixture.hpp"

namespace shmbus::tools::doctor {
namespace {

TEST(DoctorTopics, AreWell) {
    expect_none(findings_of({memory_topic()}, self));
    expect_none(findings_of({disk_topic()}, self));
}

TEST(DoctorTopics, TakeNothingToTheDisk) {
    auto topic = disk_topic();
    topic.trouble = "no space for a segment of 256 KiB";
    topic.directory = "/state/topics/t";
    expect_one(findings_of({topic}, self), Severity::error,
               "takes nothing to the disk since event 100: no space for", "df -h /state/topics/t");
    topic.trouble = "syncing 1.seg: Input/output error";
    expect_one(findings_of({topic}, self), Severity::error, "Input/output error", "journalctl -k");
}

TEST(DoctorTopics, AreFarAheadOfTheDisk) {
    auto before = disk_topic();
    before.durable = before.head - 9; // of a ring of 16
    auto now = before;
    now.head += 1;
    EXPECT_TRUE(needs_another_look(before));
    expect_one(findings_of({now, before}, self), Severity::error,
               "10 events behind topic 't', whose ring has room for 16, and took none for a second",
               "/proc/pressure/io");
    now.durable += 1;
    expect_one(findings_of({now, before}, self), Severity::warning, "9 events behind", "");
    now.durable += 1;
    expect_none(findings_of({now, before}, self));
    expect_none(findings_of({before}, self));
    before.options.sync = Sync::none; // then it is enough that they are written
    EXPECT_FALSE(needs_another_look(before));
}

TEST(DoctorTopics, WereScribbledOver) {
    auto topic = memory_topic();
    topic.head = ~Sequence{0} - 7;
    expect_one(findings_of({topic}, self), Severity::error, "has scribbled over it",
               "shmbus --socket s topic rm t --force");
}

TEST(DoctorTopics, AreDraining) {
    auto topic = memory_topic();
    topic.draining = true;
    expect_one(findings_of({topic}, self), Severity::warning,
               "is being drained and takes no events", "shmbus --socket s topic drain t --undo");
    topic.subscribers = {peer(7, 99)};
    expect_one(findings_of({topic}, self), Severity::warning,
               "takes no events; pid 7 (cat) has 1 event to acknowledge", "");
}

TEST(DoctorTopics, HaveFullTables) {
    auto topic = memory_topic();
    topic.publisher_count = 230;
    topic.subscriber_count = 230;
    expect_none(findings_of({topic}, self));
    topic.publisher_count = 231;
    expect_one(findings_of({topic}, self), Severity::warning, "has 231 publishers of at most 256",
               "shmbus --socket s topic info t");
    topic.publisher_count = 0;
    topic.subscriber_count = 256;
    expect_one(findings_of({topic}, self), Severity::error,
               "256 subscribers of at most 256: nobody", "");
}

TEST(DoctorTopics, FindingsNameTheirTopic) {
    auto topic = memory_topic();
    topic.draining = true;
    EXPECT_EQ(the_one(findings_of({topic}, self)).topic, "t");
}

} // namespace
} // namespace shmbus::tools::doctor
