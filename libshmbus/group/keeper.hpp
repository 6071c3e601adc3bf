// The daemon's side of a group: whose each slot is, and what is taken from whom.
//
// Slots are shared out evenly, and as few move as that takes. One moves when nothing of it is in hand: the daemon
// takes it by itself, in one step, whatever its owner is doing. Of a slot that is in hand the owner is told that it is
// recalled: it takes no more of it, and the daemon finds it at rest. Without asking it takes the slots of who is dead
// or gone, and one whose event is past ack_wait.
//
// A member that does not look at what is there for it, for ack_wait, is stalled: stopped, or stuck. It keeps what it
// has in hand, until ack_wait has passed for that too, and nothing else, until it looks again.
#pragma once

#include "group/table.hpp"

#include <map>
#include <optional>
#include <vector>

namespace shmbus::group {

using layout::KeySlotState;

class Keeper {
  public:
    /// Nobody is a member yet.
    Keeper(const Table& table, GroupOptions options);

    /// It looks first at event `front`.
    void attach(std::uint32_t member, Sequence front, Sequence head);
    /// It is one already, and has slots: of an earlier daemon. Before the first reclaim().
    void adopt(std::uint32_t member);
    /// It is dead, or gone. What it had in hand comes again at once. Ignored when it is no member.
    /// Others get its slots, or, if not `shares_out`, nobody does for now.
    void detach(std::uint32_t member, Sequence head, bool shares_out = true);
    /// All slots of who is no member are taken; for after adopt().
    void reclaim(Sequence head);

    /// Takes what is past its time, from whoever has it, and sees who is stalled. Shares slots out again.
    /// @returns whether something changed hands, or may be looked for now: then ring the topic's bells
    bool sweep(std::uint64_t now_ns, Sequence head, bool is_paused);
    /// Shares slots out as they should be, as far as that can be done now.
    bool balance(Sequence head);
    /// Whether some slots are to move that are in hand.
    [[nodiscard]] bool is_moving() const noexcept { return is_moving_; }

    [[nodiscard]] bool has_members() const noexcept { return !members_.empty(); }
    struct Standing {
        std::uint32_t slots = 0;
        std::uint32_t in_flight = 0;
        Sequence position = 0;
        bool stalled = false;
    };
    [[nodiscard]] Standing standing(std::uint32_t index) const noexcept;
    [[nodiscard]] std::uint32_t waiting() const noexcept;
    /// All slots, each as far as it was at some moment of the call.
    [[nodiscard]] std::vector<KeySlotState> states(Sequence head) const;
    /// As they were; for memory that was just formatted, before anybody attaches.
    void restore(const std::vector<KeySlotState>& states);

  private:
    struct Watched { // what the last sweeps saw of a member
        std::uint64_t beat = 0;
        std::uint64_t since_ns = 0;
        bool stalled = false;
        std::uint32_t slots = 0;
    };
    [[nodiscard]] Sequence front_of(std::uint32_t k, std::uint32_t& epoch) const noexcept;
    bool fence(std::uint32_t k, Sequence head, Failure why, std::uint64_t now_ns, bool also_in_hand,
               std::optional<std::uint64_t> only = {});
    void give(std::uint32_t k, std::uint32_t member);
    void recall(std::uint32_t k, bool yes);
    void tell();
    [[nodiscard]] std::uint32_t poorest(std::uint32_t but) const noexcept;
    [[nodiscard]] bool is_out(std::uint32_t k) const noexcept;
    void share_out_unowned();
    [[nodiscard]] std::map<std::uint32_t, std::uint32_t> surplus() const;
    bool level(Sequence head);
    bool take_overdue(std::uint64_t now_ns, Sequence head);
    bool find_gone(Sequence head);
    [[nodiscard]] std::array<bool, layout::max_members>
    find_leftovers(std::uint64_t now_ns, Sequence head) const noexcept;
    bool find_stalled(std::uint64_t now_ns, Sequence head);

    Table table_;
    GroupOptions options_;
    std::map<std::uint32_t, Watched> members_;
    std::array<std::uint32_t, key_slots> owners_; // OwnerWord::nobody, or a member
    std::array<bool, key_slots> recalled_{};
    std::uint32_t round_ = 0; // where the last search for slots to move ended
    bool is_moving_ = false;
    bool changed_ = false; // since tell()
};

} // namespace shmbus::group
