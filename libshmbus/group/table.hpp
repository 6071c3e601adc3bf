// A group's object, as members and the daemon see it. See layout/group.hpp for the bytes.
//
// The daemon alone says whose a slot is. It takes a slot from its owner by one compare-and-swap that counts the
// slot's epoch up (group/keeper.hpp); what a member does with a slot (take an event, acknowledge it, put it back) is
// one compare-and-swap from the word that it left there (group/member.hpp). So of the two one comes first, and the
// other one learns of it.
#pragma once

#include "layout/group.hpp"

#include <cassert>
#include <span>
#include <string>

namespace shmbus::group {

using layout::DueWord;
using layout::Failure;
using layout::OwnerWord;
using layout::SlotPhase;
using layout::SlotWord;
using layout::TriesWord;

class Table {
  public:
    Table() noexcept = default;
    /// @pre format() made the memory, or it passed check()
    explicit Table(std::span<std::byte> memory) noexcept : base_(memory.data()) {
        assert(memory.size() == layout::group_bytes);
    }
    [[nodiscard]] layout::GroupHeader& header() const noexcept {
        return *reinterpret_cast<layout::GroupHeader*>(base_);
    }
    [[nodiscard]] layout::MemberEntry& member(std::uint32_t i) const noexcept {
        assert(i < layout::max_members);
        return reinterpret_cast<layout::MemberEntry*>(base_ + layout::group_members_at)[i];
    }
    [[nodiscard]] layout::SlotEntry& slot(std::uint32_t k) const noexcept {
        assert(k < key_slots);
        return reinterpret_cast<layout::SlotEntry*>(base_ + layout::group_slots_at)[k];
    }

    /// Up to where all is done with, in all slots; never beyond `head`. Whoever asks sees what was so at some
    /// moment of the call, or less, or 0 while slots go from hand to hand.
    [[nodiscard]] Sequence done_up_to(Sequence head) const noexcept;

  private:
    [[nodiscard]] Sequence look_at_all(Sequence head) const noexcept;
    std::byte* base_ = nullptr;
};

/// What is wrong with these options; empty if nothing is.
[[nodiscard]] std::string problem_with(const GroupOptions& options);

/// Makes memory of zeros a group's: it begins with event `begin`, in all slots, which are nobody's.
void format(std::span<std::byte> memory, const layout::Uuid& topic, const GroupOptions& options,
            Sequence begin) noexcept;

/// Whether memory is that of a group of this topic, with options that can be; these are not looked at again.
/// @throws Error: damaged, incompatible
[[nodiscard]] GroupOptions check(std::span<const std::byte> memory, const layout::Uuid& topic);

/// How long to wait after the n-th failure, from 1 on.
[[nodiscard]] std::uint64_t back_off_ns(const GroupOptions& options,
                                        std::uint32_t failures) noexcept;

} // namespace shmbus::group
