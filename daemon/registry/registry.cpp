#include "daemon/registry/registry.hpp"

#include "base/memfd.hpp"
#include "daemon/registry/limits.hpp"
#include "daemon/registry/options.hpp"
#include "daemon/system/memory.hpp"
#include "daemon/system/messages.hpp"
#include "daemon/system/service.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::registry {

std::string kept_as(std::uint64_t number) { return fmt::format("t{}.", number); }

Registry::Registry(Sequence first, spiller::Storage* storage, system::DescriptorStore* descriptors)
    : missed_until_(grace), missed_at_most_(longest_grace), first_(first), storage_(storage),
      descriptors_(descriptors) {}

void Registry::set_limits(const Limits& limits) {
    limits_ = limits;
    for (const auto& [name, topic] : topics_) topic->subscriptions().set_limits(limits);
}

Registry::Adopted Registry::adopt(const Left& left, const Topic::Whose& whose) {
    last_number_ = std::max(last_number_, left.number);
    Books books(left.books);
    const auto name = books.topic();
    const auto record = books.record();
    check_name(name);
    check_options(name, record.options, books.first());
    if (topics_.contains(name)) throw Error(Errc::damaged, "topic " + name + " was left twice");
    auto memory = TopicMemory::adopt(
        record.uuid, Topic::parameters_of(record.options, books.first()), left.ring, left.readers);
    Adopted adopted{std::make_shared<Topic>(std::move(books), std::move(memory)), {}};
    auto& topic = adopted.topic;
    adopted.entries = topic->adopt_holders(whose);
    carry_on(topic);
    topic->incidents().note({.kind = IncidentKind::adopted});
    topic->subscriptions().set_limits(limits_);
    numbers_.emplace(topic.get(), left.number);
    topics_.emplace(name, topic);
    return adopted;
}

Registry::Adopted Registry::adopt(const std::shared_ptr<Topic>& topic, const Topic::Whose& whose) {
    Adopted adopted{topic, topic->adopt_holders(whose)};
    carry_on(topic);
    asleep_.erase(topic->name());
    add(topic);
    return adopted;
}

/// From where the disk has its events; those behind that are in its ring. That was closed when the last
/// daemon ended in order, and is opened before anybody reads it, who would take it for its end.
void Registry::carry_on(const std::shared_ptr<Topic>& topic) {
    if (topic->options().retention == Retention::memory) {
        topic->set_state(topic->state());
        return;
    }
    const auto& name = topic->name();
    if (storage_ == nullptr)
        throw Error(Errc::damaged,
                    "topic " + name + " is on disk: start with the same --state-dir");
    const auto stored = storage_->find(name);
    if (!stored || stored->uuid != topic->uuid())
        throw Error(Errc::damaged, "topic " + name + " is another one on disk");
    auto log = storage_->open(name, *stored);
    if (log.log->next() > topic->head_hint() + 1)
        throw Error(Errc::damaged, "topic " + name + ": the disk is ahead of the ring");
    // However fast publishers are while the disk takes no promise.
    constexpr Sequence far = Sequence{1} << 40U;
    if (topic->head_hint() > std::max(log.log->leased(), log.log->next()) + far)
        throw Error(Errc::damaged, "topic " + name + ": the ring is far ahead of the disk");
    topic->set_state(topic->state());
    carry(topic, std::move(log));
}

Registry::Origin Registry::record_for(const std::string& name, const layout::Uuid& uuid,
                                      const base::Fd& ring, uid_t owner) {
    check_name(name);
    check_available(name);
    const auto parameters = parameters_in(ring);
    const auto asleep = asleep_.find(name);
    if (asleep != asleep_.end()) {
        if (asleep->second.record.uuid != uuid)
            throw Error(Errc::no_such_topic, "topic " + name + " is another one now");
        if (!was_in_use(name, asleep->second))
            throw Error(Errc::no_such_topic, "topic " + name + " is on disk, all of it");
        return {asleep->second.record, parameters.first_sequence};
    }
    if (parameters.gate != static_cast<std::uint8_t>(layout::GateKind::readers))
        throw Error(Errc::no_such_topic, "topic " + name + " is not on this bus's disk");
    check_count(owner);
    return {{uuid, Topic::options_of(parameters), owner}, parameters.first_sequence};
}

std::shared_ptr<Topic> Registry::topic_of(const base::Fd& memory) const noexcept {
    for (const auto& [name, topic] : topics_)
        if (base::is_same_memory(topic->shared().ring().writable, memory) ||
            base::is_same_memory(topic->shared().readers().writable, memory))
            return topic;
    return nullptr;
}

std::optional<TopicOptions> Registry::options_of(const std::string& name) const {
    if (const auto found = topics_.find(name); found != topics_.end())
        return found->second->options();
    if (const auto found = asleep_.find(name); found != asleep_.end())
        return found->second.record.options;
    return std::nullopt;
}

std::shared_ptr<Topic> Registry::awake(const std::string& name) const {
    const auto found = topics_.find(name);
    return found == topics_.end() ? nullptr : found->second;
}

void Registry::bring_back() {
    if (storage_ == nullptr) return;
    for (const auto& name : storage_->topics())
        if (!topics_.contains(name)) bring_back(name);
}

void Registry::bring_back(const std::string& name) {
    try {
        const auto record = storage_->find(name);
        if (!record) return;
        check_options(name, record->options, first_);
        asleep_.emplace(name, Asleep{*record});
    } catch (const std::exception& e) {
        unavailable_.emplace(name, e.what());
        system::log(system::messages::topic_unavailable, {.topic = name},
                    fmt::format("topic {} is not there: {}", name, e.what()));
    }
}

/// Its events go on to the disk; its memory is there as long as they do.
void Registry::carry(const std::shared_ptr<Topic>& topic, spiller::OpenLog log) {
    const auto& path = log.path;
    auto files =
        std::make_unique<store::PublisherFiles>(store::open_directory(path), topic->uuid());
    auto named = std::make_shared<spiller::NamedPublishers>(std::move(files), *log.directory,
                                                            topic->uuid(), *log.log);
    storage_->mark_held(topic->name(), false);
    topic->carry(std::move(log), std::move(named));
    topic->subscriptions().keep_in(std::make_shared<store::SubscriptionFiles>(
                                       store::open_directory(topic->disk()->path()), topic->uuid()),
                                   storage_->cursors(), topic->name());
    keep_incidents(*topic);
    topic->subscriptions().tell(
        [disk = topic->disk().get()](Sequence by_all) { disk->hold(by_all); });
    storage_->carry({topic, topic->disk().get()});
}

std::shared_ptr<Topic> Registry::make_on_disk(const std::string& name,
                                              const store::TopicRecord& record,
                                              spiller::OpenLog log) {
    auto topic = std::make_shared<Topic>(name, record, log.log->next());
    carry(topic, std::move(log));
    return topic;
}

std::shared_ptr<Topic> Registry::make(const std::string& name, const TopicOptions& options,
                                      uid_t creator) {
    const store::TopicRecord record{Topic::new_uuid(), options, creator};
    if (options.retention == Retention::memory)
        return std::make_shared<Topic>(name, record, first_);
    auto log = storage_->create(name, record, first_);
    try {
        return make_on_disk(name, record, std::move(log));
    } catch (...) {
        storage_->clear(name, record.uuid);
        throw;
    }
}

/// From now on the next daemon finds it.
void Registry::add(const std::shared_ptr<Topic>& topic) {
    topic->subscriptions().set_limits(limits_);
    topics_.emplace(topic->name(), topic);
    const auto number = numbers_[topic.get()] = ++last_number_;
    if (descriptors_ == nullptr) return;
    const auto prefix = kept_as(number);
    descriptors_->keep(prefix + "books", topic->books().fd());
    descriptors_->keep(prefix + "ring", topic->shared().ring().writable);
    descriptors_->keep(prefix + "readers", topic->shared().readers().writable);
    topic->subscriptions().keep_pages(*descriptors_, prefix);
}

void Registry::forget(Topic& topic) {
    topic.subscriptions().forget_left();
    const auto number = numbers_.extract(&topic);
    if (descriptors_ == nullptr || number.empty()) return;
    for (const char* part : {"books", "ring", "readers"})
        descriptors_->forget(kept_as(number.mapped()) + part);
}

bool Registry::create(const std::string& name, const TopicOptions& options, bool if_missing,
                      uid_t creator) {
    check_name(name);
    check_options(name, options, first_);
    check_available(name);
    const auto awake = topics_.find(name);
    const auto asleep = asleep_.find(name);
    if (awake != topics_.end() || asleep != asleep_.end()) {
        if (!if_missing) throw Error(Errc::topic_exists, "topic " + name + " exists already");
        const auto differs = difference(awake != topics_.end() ? awake->second->options()
                                                               : asleep->second.record.options,
                                        options);
        if (!differs.empty())
            throw Error(Errc::different_options,
                        "topic " + name + " exists with other options: " + differs);
        return false;
    }
    check_count(creator);
    check_disk(creator, options);
    find_room(creator, Topic::need_of(Topic::parameters_of(options, first_)));
    if (options.retention == Retention::disk && storage_ == nullptr)
        throw Error(
            Errc::unsupported,
            "topic " + name +
                ": this bus keeps nothing on disk; make it with --retention memory, or start its "
                "daemon with --state-dir DIR");
    add(make(name, options, creator));
    return true;
}

void Registry::check_available(const std::string& name) const {
    if (const auto found = unavailable_.find(name); found != unavailable_.end())
        throw Error(Errc::damaged,
                    "topic " + name + " is on disk and cannot be opened: " + found->second);
}

std::shared_ptr<Topic> Registry::find(const std::string& name) {
    check_name(name);
    check_available(name);
    const auto found = topics_.find(name);
    return found == topics_.end() ? wake(name) : found->second;
}

void Registry::refuse_missing(const std::string& name) {
    throw Error(Errc::no_such_topic,
                "no topic " + name + " on this bus; make it with: shmbus topic create " + name);
}

void Registry::remove(const std::shared_ptr<Topic>& topic, bool force) {
    auto holders = topic->publishers();
    for (auto& hint : topic->subscribers()) holders.push_back(std::move(hint.holder));
    if (!holders.empty() && !force)
        throw Error(Errc::busy, "topic " + topic->name() + " is in use by " + named(holders) +
                                    "; stop them, or remove it by force");
    if (topic->disk()) storage_->remove(topic->name(), topic->uuid(), {topic, topic->disk().get()});
    topic->subscriptions().keep_nowhere();
    std::erase_if(removed_, [](const auto& gone) { return gone.expired(); });
    removed_.emplace_back(topic);
    topic->free_memory_at_end(true);
    topic->set_state(layout::RingState::removed);
    forget(*topic);
    topics_.erase(topic->name());
}

void Registry::take_stock() {
    for (const auto& [name, topic] : topics_)
        if (topic->subscriptions().has_stock()) topic->subscriptions().take_stock();
}

std::optional<std::chrono::milliseconds> Registry::sweep_groups() {
    std::optional<std::chrono::milliseconds> next;
    for (const auto& [name, topic] : topics_)
        if (const auto pause = topic->subscriptions().sweep())
            next = next ? std::min(*next, *pause) : pause;
    return next;
}

void Registry::quarantine_stalled() {
    for (const auto& [name, topic] : topics_) {
        const auto stalled = topic->quarantine_stalled();
        if (stalled.claims == 0) continue;
        const auto whose = topic->publishers(stalled.owners);
        topic->incidents().note(
            {.kind = IncidentKind::stalled, .first = stalled.first, .last = stalled.last},
            whose.empty() ? Holder() : whose.front());
        stall_log_.log(
            system::messages::topic_stalled, {.topic = name, .sequence = stalled.first},
            fmt::format("topic {}: {} events between {} and {} given up, as {} stopped in the "
                        "middle of publishing them",
                        name, stalled.claims, stalled.first, stalled.last, named(whose)));
    }
}

bool Registry::has_chores() const {
    return std::any_of(topics_.begin(), topics_.end(), [](const auto& named) {
        auto& topic = *named.second;
        return topic.subscriptions().has_stock() || topic.incidents().has_unsaved() ||
               is_unused(topic) || topic.publisher_count() != 0;
    });
}

std::vector<std::string> Registry::close_all(Deadline deadline) {
    take_stock();
    for (const auto& [name, topic] : topics_) topic->set_state(layout::RingState::closed);
    for (const auto& removed : removed_) // who still reads what was removed goes on
        if (const auto topic = removed.lock()) topic->free_memory_at_end(false);
    std::vector<std::string> late;
    for (const auto& [name, topic] : topics_)
        if (topic->disk() && topic->publisher_count() + topic->subscriber_count() != 0)
            storage_->mark_held(name, true);
    for (const auto& [name, topic] : topics_)
        if (topic->disk() && !storage_->finish({topic, topic->disk().get()}, deadline))
            late.push_back(name);
    for (const auto& [name, topic] : topics_) save_incidents(*topic);
    return late;
}

} // namespace shmbus::registry
