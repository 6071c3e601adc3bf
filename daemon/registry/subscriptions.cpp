#include "daemon/registry/subscriptions.hpp"

#include "base/clock.hpp"
#include "base/memfd.hpp"
#include "daemon/registry/options.hpp"
#include "daemon/system/log.hpp"
#include "daemon/system/messages.hpp"
#include "ring/recovery.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

namespace shmbus::registry {

namespace {

using layout::HoldState;

/// @throws Error(damaged)
base::Mapping map_page(const base::Fd& page) {
    if (base::sealed_size(page, "cursor page") != layout::cursor_page_bytes)
        throw Error(Errc::damaged, "a cursor page of a wrong size");
    return {base::writable_twin(page), base::Access::read_write, layout::cursor_page_bytes};
}

layout::CursorPage& page_in(const base::Mapping& mapping) noexcept {
    return *reinterpret_cast<layout::CursorPage*>(mapping.bytes().data());
}

} // namespace

void Subscriptions::keep_in(std::shared_ptr<store::SubscriptionFiles> files,
                            store::CursorKeeper& keeper, const std::string& topic_name) {
    std::vector<std::string> damaged;
    for (const auto& [name, record] : files->load(damaged)) all_[name].record = record;
    for (const auto& name : damaged)
        system::log(system::messages::subscription_damaged,
                    {.topic = topic_name, .subscription = name},
                    fmt::format("topic {}: the file of subscription {} is damaged: it begins anew",
                                topic_name, name));
    files_ = std::move(files);
    keeper_ = &keeper;
}

void Subscriptions::keep_pages(system::DescriptorStore& pages, const std::string& prefix) {
    pages_ = &pages;
    prefix_ = prefix;
}

void Subscriptions::keep_nowhere() {
    for (auto& [name, subscription] : all_) {
        if (subscription.held) forget_page(name, *subscription.held);
        if (subscription.group && pages_ != nullptr)
            for (const auto hold : subscription.group->holds()) pages_->forget(kept_as(name, hold));
    }
    forget_left();
    keeper_ = nullptr;
    pages_ = nullptr;
}

std::string Subscriptions::kept_as(const std::string& name, std::uint64_t hold) const {
    return fmt::format("{}cursor{}.{}", prefix_, hold, name);
}

void Subscriptions::adopt(const std::string& name, const Holder& who, std::uint64_t hold,
                          const base::Fd& page, std::uint32_t entry) {
    if (is_group(page)) {
        adopt_member(name, who, hold, page, entry);
        return;
    }
    auto mapping = map_page(page);
    auto& subscription = all_.contains(name) ? all_.at(name) : make(name, who.uid);
    require_kind(name, subscription, false);
    take_possession(name, subscription, who);
    last_hold_ = std::max(last_hold_, hold);
    Held held{hold, who, std::move(mapping)};
    // Of one that was taken over both entries may be there: the later hold is the one.
    const bool is_later = !subscription.held || subscription.held->hold < hold;
    const bool moved = take(subscription.record, held);
    if (is_later) subscription.held = std::move(held);
    if (moved) store(name, subscription);
}

void Subscriptions::inherit(const std::string& name, std::uint32_t creator, std::uint64_t hold,
                            const base::Fd& page) {
    if (is_group(page)) {
        inherit_group(name, creator, hold, page);
        return;
    }
    Held held{hold, {}, map_page(page)};
    const bool is_new = !all_.contains(name);
    auto& subscription = is_new ? make(name, creator) : all_.at(name);
    if (is_new) subscription.is_owner_known = false;
    last_hold_ = std::max(last_hold_, hold);
    if (take(subscription.record, held)) store(name, subscription);
    if (subscription.left) forget_left(name);
    subscription.left = std::move(held);
}

std::uint64_t Subscriptions::restore(const std::string& name, const Holder& who,
                                     const base::Fd& page, std::uint32_t entry) {
    if (const auto found = all_.find(name); found != all_.end() && !is_group(page))
        refuse_while_held(found->second, name);
    const auto owner = owner_of(name);
    if (owner && *owner != who.uid && who.uid != 0 && who.uid != ::geteuid())
        throw Error(Errc::permission, fmt::format("subscription {} is user {}'s", name, *owner));
    check_name(name, "subscription");
    const std::uint64_t hold = last_hold_ + 1;
    adopt(name, who, hold, page, entry);
    if (pages_ != nullptr) pages_->keep(kept_as(name, hold), page);
    return hold;
}

void Subscriptions::disown(const base::Fd& page, std::uint32_t entry) noexcept {
    try {
        if (is_group(page)) { // others may be members still
            Group::disown(page, entry);
            return;
        }
        const auto mapping = map_page(page);
        page_in(mapping).state.store_release(static_cast<std::uint32_t>(HoldState::ended));
    } catch (const std::exception& e) {
        system::log(system::Level::warning,
                    std::string("a subscription's holder cannot be told that it is none: ") +
                        e.what());
    }
}

Subscriptions::Subscription& Subscriptions::get(const std::string& name) {
    const auto found = all_.find(name);
    if (found == all_.end())
        throw Error(Errc::no_such_subscription,
                    "no subscription " + name + " of this topic; see: shmbus subscription ls");
    return found->second;
}

void Subscriptions::check_room(std::uint32_t creator) const {
    constexpr const char* remedy =
        "remove some (shmbus subscription rm), or raise {}= of [Limits] in the "
        "configuration (man shmbusd.conf)";
    const auto refuse = [&](const std::string& what, const char* key) {
        throw Error(Errc::limit, what + fmt::format(remedy, key));
    };
    if (all_.size() >= limits_.subscriptions_per_topic)
        refuse(fmt::format("the topic has {} durable subscriptions, the most it may have: ",
                           all_.size()),
               "SubscriptionsPerTopic");
    const auto own =
        static_cast<std::size_t>(std::count_if(all_.begin(), all_.end(), [&](const auto& named) {
            return named.second.record.creator == creator;
        }));
    // Root and the daemon's own user keep others from nothing that is not theirs anyway.
    if (creator != 0 && creator != ::geteuid() && own >= limits_.subscriptions_per_user)
        refuse(fmt::format(
                   "user {} has {} durable subscriptions of this topic, the most a user may have: ",
                   creator, own),
               "SubscriptionsPerUser");
}

Subscriptions::Subscription& Subscriptions::make(const std::string& name, std::uint32_t creator,
                                                 const std::optional<GroupOptions>& group,
                                                 Done done) {
    check_name(name, "subscription");
    if (group)
        if (const auto problem = group::problem_with(*group); !problem.empty())
            throw Error(Errc::bad_argument, "group " + name + ": " + problem);
    check_room(creator);
    auto& made = all_[name];
    made.record.group = group;
    made.record.created_ns = base::wall_ns();
    made.record.creator = creator;
    store(name, made, std::move(done));
    return made;
}

void Subscriptions::create(const std::string& name, std::uint32_t creator,
                           const std::optional<GroupOptions>& group, Done done) {
    if (all_.contains(name))
        throw Error(Errc::subscription_exists, "subscription " + name + " exists already");
    (void)make(name, creator, group, std::move(done));
}

std::optional<std::uint32_t> Subscriptions::owner_of(const std::string& name) const {
    const auto found = all_.find(name);
    if (found == all_.end()) return std::nullopt;
    const auto& subscription = found->second;
    const auto& record = subscription.record;
    if (!subscription.is_owner_known ||
        (!record.begun && !subscription.held && !subscription.group))
        return std::nullopt;
    return record.creator;
}

void Subscriptions::take_possession(const std::string& name, Subscription& subscription,
                                    const Holder& who) const {
    if (owner_of(name)) return;
    subscription.record.creator = who.uid;
    subscription.is_owner_known = true;
}

layout::CursorPage& Subscriptions::page_of(const Held& held) noexcept { return page_in(held.page); }

Subscriptions::Grant Subscriptions::open(const std::string& name, const Holder& who, bool steal) {
    const auto found = all_.find(name);
    if (found != all_.end()) require_kind(name, found->second, false);
    if (found != all_.end() && !steal) refuse_while_held(found->second, name);
    auto fd = base::make_memfd("shmbus-cursor-" + name, layout::cursor_page_bytes,
                               layout::cursor_page_bytes);
    base::Mapping mapping(fd, base::Access::read_write, layout::cursor_page_bytes);
    auto& subscription = found != all_.end() ? found->second : make(name, who.uid);
    take_possession(name, subscription, who);
    const bool is_stolen = subscription.held.has_value();
    end_hold(subscription, name, HoldState::ended);
    subscription.held = Held{++last_hold_, who, std::move(mapping)};
    auto& page = page_of(*subscription.held);
    page.magic = layout::cursor_magic;
    page.major = layout::layout_major;
    page.minor = layout::layout_minor;
    page.total_bytes = layout::cursor_page_bytes;
    page.topic = topic_;
    const auto& record = subscription.record;
    page.cursor.store_relaxed(record.cursor);
    page.state.store_relaxed(
        static_cast<std::uint32_t>(record.paused ? HoldState::paused : HoldState::live));
    if (pages_ != nullptr) pages_->keep(kept_as(name, last_hold_), fd);
    forget_left(name); // this one has its cursor
    return {last_hold_, std::move(fd), record.begun ? std::optional(record.cursor) : std::nullopt,
            is_stolen};
}

/// Whether the cursor moved. What the holder wrote is believed as far as it can be true.
bool Subscriptions::take(store::SubscriptionRecord& record, const Held& held) const noexcept {
    const Sequence seen = page_of(held).cursor.load_acquire();
    const Sequence head = view_.ring.header().tail.load_acquire() - 1;
    if (seen > head || (record.begun ? seen <= record.cursor : seen == 0)) return false;
    record.cursor = seen;
    record.begun = true;
    return true;
}

bool Subscriptions::take(Subscription& subscription) const {
    if (subscription.group) return subscription.group->take(subscription.record);
    return subscription.held && take(subscription.record, *subscription.held);
}

void Subscriptions::set_state(const Held& held, HoldState state) const noexcept {
    // Release: pairs with Receiver; the bells wake it if it sleeps.
    page_of(held).state.store_release(static_cast<std::uint32_t>(state));
    ring::ring_bells(view_);
}

void Subscriptions::forget_page(const std::string& name, const Held& held) const {
    if (pages_ != nullptr) pages_->forget(kept_as(name, held.hold));
}

void Subscriptions::forget_left(const std::string& name) {
    auto& left = all_.at(name).left;
    if (left) forget_page(name, *left);
    left.reset();
}

void Subscriptions::forget_left() {
    for (const auto& [name, subscription] : all_) forget_left(name);
}

void Subscriptions::end_hold(Subscription& subscription, const std::string& name, HoldState state) {
    if (!subscription.held) return;
    if (take(subscription)) store(name, subscription);
    set_state(*subscription.held, state);
    forget_left(name);
    subscription.left = std::exchange(subscription.held, std::nullopt);
}

void Subscriptions::release(const std::string& name, std::uint64_t hold) noexcept {
    const auto found = all_.find(name);
    if (found == all_.end()) return;
    if (found->second.group) leave(name, found->second, hold);
    if (!found->second.held || found->second.held->hold != hold) return;
    end_hold(found->second, name, HoldState::ended);
}

void Subscriptions::refuse_while_held(const Subscription& subscription,
                                      const std::string& name) const {
    if (const auto holders = holders_of(subscription); !holders.empty())
        throw Error(Errc::busy, fmt::format("subscription {} is held by {}", name, named(holders)));
}

void Subscriptions::seek(const std::string& name, Sequence cursor, Done done) {
    auto& subscription = get(name);
    refuse_while_held(subscription, name);
    subscription.record.cursor = cursor;
    subscription.record.begun = true;
    if (subscription.record.group) subscription.record.slots.assign(key_slots, {.seq = cursor + 1});
    if (subscription.left) page_of(*subscription.left).cursor.store_release(cursor);
    store(name, subscription, std::move(done));
}

void Subscriptions::pause(const std::string& name, bool paused, Done done) {
    auto& subscription = get(name);
    (void)take(subscription);
    subscription.record.paused = paused;
    const auto state = paused ? HoldState::paused : HoldState::live;
    if (subscription.held) set_state(*subscription.held, state);
    if (subscription.group) subscription.group->set_state(state);
    store(name, subscription, std::move(done));
}

void Subscriptions::remove(const std::string& name, bool force, Done done) {
    auto& subscription = get(name);
    if (!force) refuse_while_held(subscription, name);
    if (subscription.held) {
        set_state(*subscription.held, HoldState::ended);
        forget_page(name, *subscription.held);
    }
    if (subscription.group) end_group(name, subscription);
    forget_left(name);
    all_.erase(name);
    tell();
    if (keeper_ != nullptr)
        keeper_->keep(files_, name, std::nullopt, std::move(done));
    else if (done)
        done({});
}

std::uint32_t Subscriptions::creator_of(const std::string& name) {
    return get(name).record.creator;
}

std::vector<Subscriptions::Info> Subscriptions::list() {
    take_stock();
    std::vector<Info> infos;
    for (const auto& [name, subscription] : all_)
        infos.push_back(
            {name, subscription.record,
             subscription.held ? std::optional(subscription.held->who) : std::nullopt,
             subscription.group ? subscription.group->info() : group_of(subscription.record)});
    return infos;
}

std::optional<Subscriptions::Info> Subscriptions::find(const std::string& name) {
    const auto found = all_.find(name);
    if (found == all_.end()) return std::nullopt;
    auto& subscription = found->second;
    if (take(subscription)) store(name, subscription);
    return Info{name, subscription.record,
                subscription.held ? std::optional(subscription.held->who) : std::nullopt,
                subscription.group ? subscription.group->info() : group_of(subscription.record)};
}

bool Subscriptions::has_stock() const noexcept {
    return std::any_of(all_.begin(), all_.end(), [&](const auto& one) {
        return one.second.held || one.second.group || (one.second.left && keeper_ != nullptr);
    });
}

void Subscriptions::tell(Acknowledged whom) {
    acknowledged_ = std::move(whom);
    tell();
}

void Subscriptions::tell() const {
    if (!acknowledged_) return;
    Sequence least = layout::max_sequence;
    for (const auto& [name, subscription] : all_)
        least = std::min(least, subscription.record.begun ? subscription.record.cursor : 0);
    acknowledged_(least);
}

void Subscriptions::take_stock() {
    for (auto& [name, subscription] : all_)
        if (take(subscription)) store(name, subscription);
    if (keeper_ != nullptr && keeper_->is_done()) forget_left();
}

void Subscriptions::persist(const std::string& name, std::uint64_t hold, Done done) {
    if (keeper_ == nullptr)
        throw Error(Errc::system, "this topic is in memory, and so are its cursors");
    auto& subscription = get(name);
    const bool is_member = subscription.group && subscription.group->has(hold);
    if (!is_member && (!subscription.held || subscription.held->hold != hold))
        throw Error(Errc::busy, "subscription " + name + " went to another holder");
    (void)take(subscription);
    store(name, subscription, std::move(done));
}

void Subscriptions::store(const std::string& name, const Subscription& subscription, Done done) {
    tell();
    if (keeper_ != nullptr)
        keeper_->keep(files_, name, subscription.record, std::move(done));
    else if (done)
        done({});
}

} // namespace shmbus::registry
