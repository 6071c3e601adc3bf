// What may be asked of a topic.
#pragma once

#include "shmbus/types.hpp"

#include <string>

namespace shmbus::registry {

/// `what`: a topic, a subscription or a publisher. @throws Error(bad_argument)
void check_name(const std::string& name, const char* what = "topic");
/// @throws Error(bad_argument)
void check_options(const std::string& name, const TopicOptions& options, Sequence first);

/// Each option in which the two differ, with both values; empty if none.
[[nodiscard]] std::string difference(const TopicOptions& existing, const TopicOptions& wanted);

} // namespace shmbus::registry
