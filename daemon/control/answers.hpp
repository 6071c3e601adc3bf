// What the daemon's books look like in the protocol.
#pragma once

#include "control/protocol.hpp"
#include "daemon/registry/topic.hpp"

namespace shmbus::control {

void write_refusal(const Error& error, protocol::Refusal::Builder to);

void write_holder(const registry::Holder& holder, protocol::Peer::Builder to);
/// Everything but the peers; their lists stay empty.
void write_topic(const registry::Topic& topic, protocol::TopicInfo::Builder to);
void write_peers(const registry::Topic& topic, protocol::TopicInfo::Builder to);

} // namespace shmbus::control
