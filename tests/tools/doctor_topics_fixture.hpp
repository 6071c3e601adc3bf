// Topics for tests of what shmbus doctor says of them: well, and with room for 16 events.
#pragma once

#include "tools/doctor/topics.hpp"
#include "tools/doctor_fixture.hpp"

namespace shmbus::tools::doctor {

inline const std::string self = "shmbus --socket s";

inline PeerInfo peer(std::uint32_t pid, Sequence cursor = 0) {
    return {.pid = pid, .uid = 0, .command = "cat", .cursor = cursor};
}

inline TopicInfo memory_topic() {
    TopicInfo topic;
    topic.name = "t";
    topic.options.retention = Retention::memory;
    topic.options.capacity = 16;
    topic.first = 85;
    topic.head = 100;
    topic.memory_bytes = 1;
    return topic;
}

inline TopicInfo disk_topic() {
    auto topic = memory_topic();
    topic.options.retention = Retention::disk;
    topic.first = 1;
    topic.written = topic.durable = topic.head;
    return topic;
}

} // namespace shmbus::tools::doctor
