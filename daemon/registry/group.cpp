#include "daemon/registry/group.hpp"

#include "base/clock.hpp"
#include "ring/recovery.hpp"
#include "shmbus/error.hpp"

#include <algorithm>

namespace shmbus::registry {

namespace {

using namespace std::chrono_literals;

base::Mapping map(const base::Fd& fd) {
    if (base::sealed_size(fd, "memory of a group") != layout::group_bytes)
        throw Error(Errc::damaged, "memory of a group of a wrong size");
    return {base::writable_twin(fd), base::Access::read_write, layout::group_bytes};
}

/// Once it has, each slot is somebody's, or was.
bool has_begun(const group::Table& table) noexcept {
    for (std::uint32_t k = 0; k < key_slots; ++k)
        if (table.slot(k).owner.load_acquire() != 0) return true;
    return false;
}

} // namespace

Group::Group(const std::string& name, const layout::Uuid& topic, const ring::Topic& view,
             const store::SubscriptionRecord& record)
    : fd_(base::make_memfd("shmbus-group-" + name, layout::group_bytes, layout::group_bytes)),
      mapping_(map(fd_)), table_(mapping_.bytes()), options_(*record.group), view_(view),
      keeper_(table_, options_), begun_(record.begun) {
    group::format(mapping_.bytes(), topic, options_, record.cursor + 1);
    if (begun_) keeper_.restore(record.slots);
    set_state(record.paused ? layout::HoldState::paused : layout::HoldState::live);
}

Group::Group(const base::Fd& memory, const layout::Uuid& topic, const ring::Topic& view)
    : fd_(base::writable_twin(memory)), mapping_(map(memory)), table_(mapping_.bytes()),
      options_(group::check(mapping_.bytes(), topic)), view_(view), keeper_(table_, options_),
      begun_(has_begun(table_)) {
    if (begun_) reclaim_at_.emplace(grace);
}

void Group::disown(const base::Fd& memory, std::uint32_t entry) {
    const auto mapping = map(memory);
    if (entry >= layout::max_members) return;
    // Release: pairs with group::Member::is_over.
    group::Table(mapping.bytes()).member(entry).ended.store_release(1);
}

base::Fd Group::memory() const { return base::writable_twin(fd_); }

void Group::tell(bool changed) const noexcept {
    if (changed) ring::ring_bells(view_); // whoever sleeps looks at whose slots are whose
}

void Group::attach(const Member& member, const store::SubscriptionRecord& record) {
    members_.emplace(member.hold, member);
    keeper_.attach(member.entry, std::min(record.cursor, head()) + 1, head());
    if (begun_ && !reclaim_at_) tell(keeper_.balance(head()));
}

void Group::adopt(const Member& member) {
    members_.emplace(member.hold, member);
    keeper_.adopt(member.entry);
    if (!reclaim_at_) tell(keeper_.balance(head())); // it is late, and has no slots any more
}

void Group::reclaim() {
    if (!reclaim_at_) return;
    reclaim_at_.reset();
    keeper_.reclaim(head());
    tell(true);
}

bool Group::detach(std::uint64_t hold) {
    const auto member = members_.extract(hold);
    if (member.empty()) return false;
    keeper_.detach(member.mapped().entry, head(), begun_ && !reclaim_at_);
    tell(true);
    return true;
}

std::vector<Holder> Group::holders() const {
    std::vector<Holder> holders;
    for (const auto& [hold, member] : members_) holders.push_back(member.who);
    return holders;
}

std::vector<std::uint64_t> Group::holds() const {
    std::vector<std::uint64_t> holds;
    for (const auto& [hold, member] : members_) holds.push_back(hold);
    return holds;
}

void Group::begin(const store::SubscriptionRecord& record) {
    begun_ = true;
    keeper_.restore(std::vector<layout::KeySlotState>(key_slots, {.seq = record.cursor + 1}));
    for (const auto& [hold, member] : members_)
        table_.member(member.entry).front.store_relaxed(record.cursor + 1);
    tell(keeper_.balance(head()));
}

void Group::set_state(layout::HoldState state) noexcept {
    // Release: pairs with group::Member::state.
    table_.header().state.store_release(static_cast<std::uint32_t>(state));
    ring::ring_bells(view_);
}

void Group::sweep() {
    if (!begun_) return;
    if (reclaim_at_ && reclaim_at_->passed()) reclaim();
    if (reclaim_at_) return;
    const bool is_paused =
        table_.header().state.load_relaxed() != static_cast<std::uint32_t>(layout::HoldState::live);
    tell(keeper_.sweep(base::monotonic_ns(), head(), is_paused));
}

std::chrono::milliseconds Group::pause() const noexcept {
    if (keeper_.is_moving()) return 10ms;
    return std::clamp<std::chrono::milliseconds>(options_.ack_wait / 8, 10ms, 1s);
}

bool Group::take(store::SubscriptionRecord& record) const {
    if (!begun_) return false;
    const Sequence newest = head();
    auto slots = keeper_.states(newest);
    // None goes back: not even when members say so.
    for (std::size_t k = 0; k < slots.size() && k < record.slots.size(); ++k)
        if (slots[k].seq < record.slots[k].seq) slots[k] = record.slots[k];
    const auto least = std::min_element(slots.begin(), slots.end(),
                                        [](const auto& a, const auto& b) { return a.seq < b.seq; });
    const Sequence cursor = least->seq == 0 ? 0 : least->seq - 1;
    const bool has_moved = !record.begun || slots != record.slots || cursor > record.cursor;
    record.begun = true;
    record.cursor = std::max(record.cursor, std::min(cursor, newest));
    record.slots = std::move(slots);
    return has_moved;
}

GroupInfo Group::info() const {
    GroupInfo info{.options = options_, .members = {}};
    for (const auto& [hold, member] : members_) {
        const auto standing = keeper_.standing(member.entry);
        info.members.push_back(
            {.peer = {.pid = member.who.pid, .uid = member.who.uid, .command = member.who.command},
             .slots = standing.slots,
             .in_flight = standing.in_flight,
             .position = standing.position,
             .stalled = standing.stalled});
        info.in_flight += standing.in_flight;
    }
    info.waiting = keeper_.waiting();
    info.redelivered = table_.header().redelivered.load_relaxed();
    info.set_aside = table_.header().set_aside.load_relaxed();
    return info;
}

} // namespace shmbus::registry
