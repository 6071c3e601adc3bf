// What the daemon's books look like in the protocol.
#pragma once

#include "control/protocol.hpp"
#include "daemon/registry/registry.hpp"

namespace shmbus::control {

void write_refusal(const Error& error, protocol::Refusal::Builder to);

void write_incident(const Incident& incident, protocol::Incident::Builder to);
void write_holder(const registry::Holder& holder, protocol::Peer::Builder to);
/// What a list has: everything but peers and directory.
void write_topic(const registry::Registry::Entry& entry, protocol::TopicInfo::Builder to);
/// These two, which may be long: not every topic's fit into one message.
void write_details(const registry::Registry::Entry& entry, protocol::TopicInfo::Builder to);

} // namespace shmbus::control
