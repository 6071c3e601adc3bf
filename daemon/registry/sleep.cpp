// Topics on disk that nobody uses: how they fall asleep, what is known of them then, and how they wake up.
#include "daemon/registry/options.hpp"
#include "daemon/registry/registry.hpp"
#include "daemon/system/messages.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::registry {

namespace {

/// Nobody else is served while a topic that falls asleep is sealed.
constexpr auto patience_of_sleepers = std::chrono::seconds(1);

Registry::Extent extent_of(const store::Log& log) {
    // What was promised for and is not there will be lost when it wakes up.
    return {log.first(), std::max(log.next() - 1, log.leased()), log.written(), log.durable()};
}

} // namespace

std::shared_ptr<Topic> Registry::wake(const std::string& name) {
    const auto asleep = asleep_.find(name);
    if (asleep == asleep_.end()) refuse_missing(name);
    const auto& record = asleep->second.record;
    find_room(record.creator, Topic::need_of(Topic::parameters_of(record.options, first_)));
    auto log = storage_->open(name, record);
    const Incident lost{
        .kind = IncidentKind::lost, .first = log.log->next(), .last = log.log->leased()};
    spiller::give_up_promises(log);
    auto topic = make_on_disk(name, record, std::move(log));
    if (lost.first <= lost.last) topic->incidents().note(lost);
    asleep_.erase(asleep);
    add(topic);
    return topic;
}

Registry::Entry Registry::entry_of(const std::string& name, Asleep& asleep) {
    if (!asleep.extent) asleep.extent = extent_of(*storage_->open(name, asleep.record).log);
    return {name, nullptr, asleep.record, *asleep.extent, storage_->path_of(name)};
}

Registry::Entry Registry::look(const std::string& name) {
    check_name(name);
    check_available(name);
    if (const auto awake = topics_.find(name); awake != topics_.end()) return {name, awake->second};
    const auto asleep = asleep_.find(name);
    if (asleep == asleep_.end()) refuse_missing(name);
    return entry_of(name, asleep->second);
}

std::vector<Subscriptions::Info> Registry::subscriptions(const std::string& name) {
    const auto entry = look(name);
    if (entry.awake) return entry.awake->subscriptions().list();
    std::vector<Subscriptions::Info> all;
    std::vector<std::string> damaged; // which is told of when it wakes up
    store::SubscriptionFiles files(store::open_directory(entry.directory), entry.record.uuid);
    for (const auto& [own, record] : files.load(damaged))
        all.push_back({own, record, {}, Subscriptions::group_of(record)});
    return all;
}

bool Registry::is_unused(const Topic& topic) {
    return topic.disk() && topic.publisher_count() + topic.subscriber_count() == 0 &&
           topic.state() == layout::RingState::open;
}

/// Events that are not on disk yet, or not as safely as the topic's options say.
std::uint64_t Registry::behind_of(const Topic& topic, const spiller::Kept& kept) {
    const Sequence on_disk = topic.options().sync == Sync::none ? kept.written : kept.durable;
    const Sequence head = topic.head_hint();
    return head - std::min(head, on_disk);
}

bool Registry::is_idle(const Topic& topic) {
    if (!is_unused(topic)) return false;
    const auto kept = topic.disk()->kept();
    return kept.trouble.empty() && behind_of(topic, kept) == 0;
}

Registry::Tally Registry::tally() const {
    Tally all{topics_.size(), asleep_.size()};
    for (const auto& [name, topic] : topics_)
        if (topic->disk()) all.behind += behind_of(*topic, topic->disk()->kept());
    return all;
}

void Registry::look_for_sleepers() {
    std::set<const Topic*> idle;
    sleepers_.clear();
    for (const auto& [name, topic] : topics_) {
        if (!is_idle(*topic)) continue;
        if (idle_.contains(topic.get())) sleepers_.push_back(topic);
        idle.insert(topic.get());
    }
    idle_ = std::move(idle);
}

/// One at a time: it costs a few syncs, and nobody else is served meanwhile.
bool Registry::put_to_sleep() {
    for (bool done = false; !done && !sleepers_.empty();) {
        // Who wakes up reads its cursors from the files.
        if (!storage_->cursors().is_done()) break;
        const auto topic = sleepers_.back().lock();
        sleepers_.pop_back();
        if (!topic || !topics_.contains(topic->name()) || !is_idle(*topic)) continue;
        put_to_sleep(topic);
        done = true;
    }
    return !sleepers_.empty();
}

bool Registry::put_one_to_sleep(std::optional<uid_t> of) {
    if (storage_ == nullptr || !storage_->cursors().is_done()) return false;
    std::shared_ptr<Topic> sleeper;
    for (const auto& [name, topic] : topics_) {
        if ((of && topic->creator() != *of) || !is_idle(*topic)) continue;
        sleeper = topic;
        if (idle_.contains(topic.get())) break; // for some time already
    }
    if (sleeper) put_to_sleep(sleeper);
    return sleeper != nullptr;
}

void Registry::put_to_sleep(const std::shared_ptr<Topic>& topic) {
    topic->set_state(layout::RingState::closed);
    // In vain or not: all that is in its ring is on disk by now.
    (void)storage_->finish({topic, topic->disk().get()}, patience_of_sleepers);
    const auto kept = topic->disk()->kept();
    idle_.erase(topic.get());
    save_incidents(*topic);
    forget(*topic);
    topic->free_memory_at_end(true);
    topics_.erase(topic->name());
    asleep_.emplace(topic->name(),
                    Asleep{topic->books().record(),
                           Extent{kept.segments.empty() ? kept.written + 1 : kept.segments.front(),
                                  kept.written, kept.written, kept.durable}});
}

bool Registry::is_missed(const std::string& name) {
    if ((missed_until_.passed() && !more_to_come_) || topics_.contains(name) ||
        unavailable_.contains(name))
        return false;
    const auto asleep = asleep_.find(name);
    if (asleep == asleep_.end()) return true; // it may have been in memory
    return was_in_use(name, asleep->second);
}

/// The daemon before was killed, or had clients when it ended.
bool Registry::was_in_use(const std::string& name, Asleep& asleep) {
    const auto extent = entry_of(name, asleep).extent;
    return extent.head > extent.written || storage_->is_held(name);
}

void Registry::note_return() noexcept {
    if (missed_until_.passed()) return;
    const Deadline once_more = grace;
    missed_until_ = once_more.when() < missed_at_most_.when() ? once_more : missed_at_most_;
}

Registry::Page Registry::list(std::string_view after, std::size_t limit) {
    Page page;
    auto awake = topics_.upper_bound(after);
    auto asleep = asleep_.upper_bound(after);
    const auto is_end = [&] { return awake == topics_.end() && asleep == asleep_.end(); };
    while (!is_end() && page.topics.size() < limit) {
        const bool is_awake =
            asleep == asleep_.end() || (awake != topics_.end() && awake->first < asleep->first);
        if (is_awake) {
            page.topics.push_back({awake->first, awake->second});
            ++awake;
            continue;
        }
        try {
            page.topics.push_back(entry_of(asleep->first, asleep->second));
            ++asleep;
        } catch (const std::exception& e) {
            unavailable_.emplace(asleep->first, e.what());
            system::log(system::messages::topic_unavailable, {.topic = asleep->first},
                        fmt::format("topic {} is not there: {}", asleep->first, e.what()));
            asleep = asleep_.erase(asleep);
        }
    }
    page.more = !is_end();
    return page;
}

} // namespace shmbus::registry
