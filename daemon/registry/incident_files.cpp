// The incidents of all topics, and where they are kept.
#include "daemon/registry/registry.hpp"
#include "daemon/system/messages.hpp"
#include "shmbus/error.hpp"

#include <fmt/format.h>

namespace shmbus::registry {

/// A topic is worth more than what is known of its past.
void Registry::keep_incidents(Topic& topic) const {
    try {
        topic.incidents().keep_in(store::open_directory(topic.disk()->path()));
    } catch (const store::FileError& e) {
        system::log(
            system::messages::topic_files_trouble, {.topic = topic.name()},
            fmt::format("topic {}: its incidents are in memory alone: {}", topic.name(), e.what()));
    }
}

void Registry::save_incidents(Topic& topic) {
    try {
        topic.incidents().save();
        unsaved_.erase(topic.name());
    } catch (const store::FileError& e) {
        if (!unsaved_.insert(topic.name()).second) return; // it was said before
        system::log(system::messages::topic_files_trouble, {.topic = topic.name()},
                    fmt::format("topic {}: the newest incidents are in memory alone: {}",
                                topic.name(), e.what()));
    }
}

void Registry::look_for_incidents() {
    for (const auto& [name, topic] : topics_) {
        topic->look_for_incidents();
        save_incidents(*topic);
    }
}

std::vector<Incident> Registry::incidents(const std::string& name, std::uint64_t after,
                                          std::size_t limit) {
    const auto entry = look(name);
    if (entry.awake) return entry.awake->incidents().list(after, limit);
    const auto directory = store::open_directory(entry.directory);
    return Incidents::load(*directory, entry.record.uuid, after, limit);
}

} // namespace shmbus::registry
