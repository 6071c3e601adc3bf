// What the configuration says, and how it is read from files' texts.
//
// The keys are in settings.cpp; shmbusd.conf(5) describes them.
#pragma once

#include "daemon/activation/consumer.hpp"
#include "daemon/config/unit_file.hpp"
#include "daemon/control/policy.hpp"
#include "daemon/registry/limits.hpp"
#include "text/topic_choice.hpp"

#include <map>
#include <span>

namespace shmbus::config {

/// A topic that is to be there.
struct DeclaredTopic {
    text::TopicChoice choice = {};
    Place place = {};
};

/// The unit of a subscription's consumer.
struct DeclaredConsumer {
    std::string unit = {};
    Place place = {};
};

struct Settings {
    std::string socket = {};          // empty: where it is without a configuration
    std::string state_directory = {}; // likewise
    bool memory_only = false;
    registry::Limits limits = {};
    control::AccessRules access = {};
    std::map<std::string, DeclaredTopic> topics = {};
    std::map<activation::Of, DeclaredConsumer> consumers = {};
};

struct File {
    std::string name;
    std::string text;
};

/// As the activator takes them.
[[nodiscard]] activation::Consumers consumers_of(const Settings& settings);

/// Later ones win; lists grow until they are assigned nothing.
/// @throws Error(bad_argument) for whatever is wrong first: "FILE:LINE: …"
[[nodiscard]] Settings read_settings(std::span<const File> files);

} // namespace shmbus::config
