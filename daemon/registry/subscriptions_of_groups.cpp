// What durable subscriptions do otherwise that are groups.
#include "daemon/registry/subscriptions.hpp"
#include "daemon/system/log.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::registry {

/// Whether this memory says that it is a group's; whether it is one is checked when it is used.
bool Subscriptions::is_group(const base::Fd& page) {
    return base::sealed_size(page, "page of a subscription") == layout::group_bytes;
}

void Subscriptions::require_kind(const std::string& name, const Subscription& subscription,
                                 bool group) {
    if (subscription.record.group.has_value() == group) return;
    throw Error(Errc::different_options,
                group ? "subscription " + name +
                            " is no group, and one process at a time receives from it: take "
                            "another name for a group"
                      : "subscription " + name +
                            " is a group: join it (sub --group, SubscribeOptions::group)");
}

Subscriptions::Grant Subscriptions::join(const std::string& name, const Holder& who,
                                         std::uint32_t entry, const GroupOptions& options) {
    const auto found = all_.find(name);
    auto& subscription = found != all_.end() ? found->second : make(name, who.uid, options);
    require_kind(name, subscription, true);
    take_possession(name, subscription, who);
    if (!subscription.group)
        subscription.group = std::make_unique<Group>(name, topic_, view_, subscription.record);
    auto& group = *subscription.group;
    (void)group.take(subscription.record);
    base::Fd memory;
    try {
        memory = group.memory();
    } catch (...) { // without members it would go on as it is, whatever becomes of the record
        if (group.is_empty()) subscription.group.reset();
        throw;
    }
    group.attach({.hold = ++last_hold_, .entry = entry, .who = who}, subscription.record);
    if (pages_ != nullptr) pages_->keep(kept_as(name, last_hold_), memory);
    const auto& record = subscription.record;
    return {last_hold_, std::move(memory),
            record.begun ? std::optional(record.cursor) : std::nullopt};
}

Sequence Subscriptions::begin(const std::string& name, std::uint64_t hold, Sequence at) {
    auto& subscription = get(name);
    if (!subscription.group || !subscription.group->has(hold))
        throw Error(Errc::busy, "this process is no member of group " + name + " any more");
    auto& record = subscription.record;
    if (record.begun) return record.cursor;
    const Sequence head = view_.ring.header().tail.load_acquire() - 1;
    record.cursor = std::clamp<Sequence>(at, 1, head + 1) - 1;
    record.begun = true;
    record.slots.assign(key_slots, {.seq = record.cursor + 1});
    subscription.group->begin(record);
    store(name, subscription);
    return record.cursor;
}

void Subscriptions::adopt_member(const std::string& name, const Holder& who, std::uint64_t hold,
                                 const base::Fd& memory, std::uint32_t entry) {
    auto known = all_.find(name);
    if (known != all_.end() && known->second.group) {
        if (!known->second.group->is_memory(memory))
            throw Error(Errc::busy, "group " + name + " goes on with other memory");
    } else {
        auto group = std::make_unique<Group>(memory, topic_, view_);
        if (known == all_.end()) {
            (void)make(name, who.uid, group->options());
            known = all_.find(name);
        }
        require_kind(name, known->second, true);
        if (*known->second.record.group != group->options())
            throw Error(Errc::damaged, "the memory of group " + name + " has other options");
        known->second.group = std::move(group);
    }
    auto& subscription = known->second;
    take_possession(name, subscription, who);
    last_hold_ = std::max(last_hold_, hold);
    subscription.group->adopt({.hold = hold, .entry = entry, .who = who});
    if (take(subscription)) store(name, subscription);
}

/// Nobody is a member of it any more: what the memory says goes into the record, and the memory goes.
void Subscriptions::inherit_group(const std::string& name, std::uint32_t creator,
                                  std::uint64_t hold, const base::Fd& memory) {
    last_hold_ = std::max(last_hold_, hold);
    const auto known = all_.find(name);
    if (known == all_.end() || !known->second.group) {
        const Group group(memory, topic_, view_);
        const bool is_new = known == all_.end();
        auto& subscription = is_new ? make(name, creator, group.options()) : known->second;
        require_kind(name, subscription, true);
        if (is_new) subscription.is_owner_known = false;
        if (group.take(subscription.record)) store(name, subscription);
    }
    if (pages_ != nullptr) pages_->forget(kept_as(name, hold));
}

void Subscriptions::end_of_adoption() {
    for (auto& [name, subscription] : all_)
        if (subscription.group) subscription.group->reclaim();
}

/// A member is one no more. With the last one the memory goes: where it came to is in the record.
void Subscriptions::leave(const std::string& name, Subscription& subscription, std::uint64_t hold) {
    auto& group = *subscription.group;
    if (!group.detach(hold)) return;
    if (take(subscription)) store(name, subscription);
    if (pages_ != nullptr) pages_->forget(kept_as(name, hold));
    if (group.is_empty()) subscription.group.reset();
}

void Subscriptions::suspect(const std::string& name, std::uint64_t hold) noexcept {
    const auto found = all_.find(name);
    if (found != all_.end() && found->second.group) leave(name, found->second, hold);
}

void Subscriptions::end_group(const std::string& name, Subscription& subscription) {
    for (const auto hold : subscription.group->holds()) {
        (void)subscription.group->detach(hold);
        if (pages_ != nullptr) pages_->forget(kept_as(name, hold));
    }
    subscription.group.reset();
}

std::vector<Holder> Subscriptions::holders_of(const Subscription& subscription) const {
    if (subscription.group) return subscription.group->holders();
    if (subscription.held) return {subscription.held->who};
    return {};
}

bool Subscriptions::is_held(const std::string& name) const {
    const auto found = all_.find(name);
    return found != all_.end() && !holders_of(found->second).empty();
}

std::optional<GroupInfo> Subscriptions::group_of(const store::SubscriptionRecord& record) {
    if (!record.group) return std::nullopt;
    GroupInfo info{.options = *record.group, .members = {}};
    for (const auto& slot : record.slots)
        if (slot.tries != 0) ++info.waiting;
    return info;
}

std::uint64_t Subscriptions::memory_of(uid_t creator) const noexcept {
    const auto count = std::count_if(all_.begin(), all_.end(), [&](const auto& one) {
        return one.second.group && one.second.record.creator == creator;
    });
    return static_cast<std::uint64_t>(count) * layout::group_bytes;
}

bool Subscriptions::has_memory(const std::string& group) const noexcept {
    const auto found = all_.find(group);
    return found != all_.end() && found->second.group;
}

std::optional<std::chrono::milliseconds> Subscriptions::sweep() {
    std::optional<std::chrono::milliseconds> next;
    for (auto& [name, subscription] : all_) {
        if (!subscription.group) continue;
        subscription.group->sweep();
        const auto pause = subscription.group->pause();
        next = next ? std::min(*next, pause) : pause;
    }
    return next;
}

} // namespace shmbus::registry
