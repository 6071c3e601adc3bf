// A group in private memory: members and the daemon's keeper, on one thread.
#pragma once

#include "group/keeper.hpp"
#include "group/member.hpp"

#include <gmock/gmock.h>
#include <memory>
#include <vector>

namespace shmbus::group {

using testing::ElementsAre;

class GroupTest : public testing::Test {
  protected:
    static constexpr std::uint64_t second = 1'000'000'000;
    /// The slot of an event without a key.
    static std::uint32_t slot_of(Sequence s) {
        return layout::key_slot_of(Order::per_key, false, 0, s);
    }
    explicit GroupTest(GroupOptions with = {}) : options(std::move(with)) {
        format(memory, layout::Uuid{1}, options, 1);
        table = Table(memory);
        keeper = std::make_unique<Keeper>(table, options);
    }
    Member& join(std::uint32_t index, Sequence front = 1) {
        keeper->attach(index, front, head);
        keeper->balance(head);
        members[index] = std::make_unique<Member>(table, index, options, front);
        look_around();
        return *members[index];
    }
    void look_around() {
        for (auto& [index, member] : members) member->look_around();
    }
    /// What `member` takes of the events up to `head` that it has not looked at, acknowledged at once unless `keeps`.
    std::vector<Sequence> receive(Member& member, bool keeps = false) {
        member.look_around();
        member.beat();
        member.wake(now);
        std::vector<Sequence> taken;
        while (const auto at = member.trail()) {
            const Sequence s = *at;
            if (s < member.front() && member.trail_wants(slot(s), s) &&
                member.take(slot(s), s, now, true))
                taken.push_back(s);
            member.pass_trail(s + 1);
            if (!keeps && member.slot_of(s)) member.acknowledge(slot(s));
        }
        for (Sequence s = member.front(); s <= head; ++s) {
            if (member.front_wants(slot(s), s) && member.take(slot(s), s, now, false))
                taken.push_back(s);
            member.pass(s + 1);
            if (!keeps && member.slot_of(s)) member.acknowledge(slot(s));
        }
        member.settle();
        return taken;
    }
    /// By default each event has no key; tests may put some into the same slot.
    [[nodiscard]] std::uint32_t slot(Sequence s) const {
        const auto found = slots.find(s);
        return found == slots.end() ? slot_of(s) : found->second;
    }
    [[nodiscard]] SlotWord word(std::uint32_t k) const {
        return SlotWord(table.slot(k).word.load_acquire());
    }

    GroupOptions options;
    std::vector<std::byte> storage{layout::group_bytes + layout::page};
    std::span<std::byte> memory = [this] {
        auto at = reinterpret_cast<std::uintptr_t>(storage.data());
        at = (at + layout::page - 1) / layout::page * layout::page;
        return std::span(reinterpret_cast<std::byte*>(at), layout::group_bytes);
    }();
    Table table;
    std::unique_ptr<Keeper> keeper;
    std::map<std::uint32_t, std::unique_ptr<Member>> members;
    std::map<Sequence, std::uint32_t> slots;
    Sequence head = 0;
    std::uint64_t now = second;
};

} // namespace shmbus::group
