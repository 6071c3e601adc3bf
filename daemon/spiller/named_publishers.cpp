#include "daemon/spiller/named_publishers.hpp"

#include "daemon/system/log.hpp"
#include "daemon/system/watchdog.hpp"

#include <fmt/format.h>

namespace shmbus::spiller {

NamedPublishers::NamedPublishers(std::unique_ptr<store::PublisherFiles> files,
                                 store::Directory& directory, const layout::Uuid& topic,
                                 const store::Log& log)
    : files_(std::move(files)), all_(files_->load()) {
    for (const auto& [name, record] : all_) names_[record.id] = name;
    for (const auto& name : files_->damaged())
        system::log(system::Level::error,
                    fmt::format("the file of publisher {} is damaged: what it published last is "
                                "known only as far as its events are still kept",
                                name));
    any_ = !all_.empty();
    if (any_) read(directory, topic, log);
}

void NamedPublishers::read(store::Directory& directory, const layout::Uuid& topic,
                           const store::Log& log) {
    store::for_each_event(directory, topic, log.segments(), files_->through() + 1, log.next(),
                          [this](const spill::FrameCursor& event) {
                              note(event.event().publisher, event.event().event_id);
                          });
}

std::uint32_t NamedPublishers::id_of(const std::string& name) {
    const system::DiskWait waits; // for save(), too
    const std::lock_guard lock(mutex_);
    if (const auto found = all_.find(name); found != all_.end()) return found->second.id;
    if (all_.size() >= max_named_publishers)
        throw Error(Errc::limit, fmt::format("the topic has {} named publishers, the most it may "
                                             "have",
                                             max_named_publishers));
    const std::uint32_t id = names_.empty() ? first_named_id : names_.rbegin()->first + 1;
    const store::PublisherRecord record{.id = id};
    files_->add(name, record);
    all_.emplace(name, record);
    names_.emplace(id, name);
    any_ = true; // before anybody publishes under it
    return id;
}

std::uint64_t NamedPublishers::last_event(std::uint32_t id) const {
    const system::DiskWait waits; // for save(), too
    const std::lock_guard lock(mutex_);
    const auto name = names_.find(id);
    return name == names_.end() ? 0 : all_.at(name->second).last_event;
}

void NamedPublishers::note(std::uint32_t id, std::uint64_t event) {
    if (id < first_named_id) return;
    const std::lock_guard lock(mutex_);
    const auto name = names_.find(id);
    if (name == names_.end()) return; // any publisher may write any id
    auto& record = all_.at(name->second);
    if (event <= record.last_event) return;
    record.last_event = event;
    changed_[name->second] = record;
}

bool NamedPublishers::has_changed() const {
    const std::lock_guard lock(mutex_);
    return !changed_.empty();
}

void NamedPublishers::save(Sequence through) {
    const std::lock_guard lock(mutex_);
    files_->save(changed_, through);
    changed_.clear();
}

} // namespace shmbus::spiller
