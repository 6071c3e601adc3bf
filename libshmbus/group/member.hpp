// One member's side of a group: which events it takes, what it says of them, and what it still has to look for.
//
// A member looks at every event once, with its front, and takes what is of its own slots. What it may not take then,
// because something of the slot is in hand, or waits, it goes back for later, with its trail: that reads again from
// the first such event on, up to the front. A slot of which nothing is left to be found before the front is synced;
// one that a member was given is lagging until its trail has caught up. The trail turns back only for what is near:
// else an event that fails again and again would keep it from all others.
//
// This is logic alone: it sees headers and sequences, not the events. One thread at a time.
#pragma once

#include "group/table.hpp"

#include <optional>

namespace shmbus::group {

class Member {
  public:
    /// `front`: the sequence that it looks at first; everything before it is looked for by the trail.
    Member(const Table& table, std::uint32_t index, GroupOptions options, Sequence front,
           std::uint64_t lease = 0);
    /// Its slots are for others from now on.
    void leave() noexcept { table_.member(index_).gone.store_release(1); }

    /// Before each look. Whether slots have come or gone since.
    bool look_around() noexcept {
        if (table_.header().moves.load_acquire() == moves_) return false; // pairs with Keeper::tell
        take_over();
        return true;
    }
    [[nodiscard]] bool has_news() const noexcept {
        return table_.header().moves.load_acquire() != moves_;
    }
    /// The daemon says that it is a member no more.
    [[nodiscard]] bool is_over() const noexcept {
        return table_.member(index_).ended.load_acquire() != 0;
    }
    [[nodiscard]] layout::HoldState state() const noexcept {
        return static_cast<layout::HoldState>(table_.header().state.load_acquire());
    }

    // ---- looking

    /// Whether the front, or the trail, takes this event. What the front does not, though it is its own, it
    /// remembers.
    [[nodiscard]] bool front_wants(std::uint32_t slot, Sequence s) noexcept;
    [[nodiscard]] bool trail_wants(std::uint32_t slot, Sequence s) const noexcept {
        const Own& own = own_[slot];
        return own.phase == Phase::rest && own.lagging && !own.missed && own.may_go() &&
               s >= own.resume && s < front_;
    }
    /// The front has looked at everything before `front`. Release: pairs with Table::done_up_to.
    void pass(Sequence front) noexcept {
        if (front == front_) return;
        front_ = front;
        table_.member(index_).front.store_release(front);
    }
    /// It is alive, and not at a loss.
    void beat() noexcept {
        auto& beat = table_.member(index_).beat;
        beat.store_relaxed(beat.load_relaxed() + 1);
    }
    [[nodiscard]] Sequence front() const noexcept { return front_; }
    /// Where the trail goes on, if there is anything to be looked for.
    [[nodiscard]] std::optional<Sequence> trail() const noexcept {
        return trail_on_ ? std::optional(trail_) : std::nullopt;
    }
    /// The trail has looked at everything before `trail`.
    void pass_trail(Sequence trail) noexcept;
    /// When something that waits comes next; 0: nothing does.
    [[nodiscard]] std::uint64_t next_due() const noexcept { return next_due_; }
    /// What waits no more is looked for.
    void wake(std::uint64_t now_ns) noexcept {
        if (next_due_ != 0 && now_ns >= next_due_) wake_due(now_ns);
    }
    /// Slots that came with all before them done, and were reached by the front, are synced.
    void settle() noexcept;

    // ---- what is in hand

    struct Taken {
        std::uint32_t attempt; // 1: the first time
        Failure failure;       // why the last one was none
        bool is_too_often;     // to be set aside
    };
    /// Takes an event that front or trail wants, before that passes it. Nothing: the slot is its own no more.
    std::optional<Taken> take(std::uint32_t slot, Sequence s, std::uint64_t now_ns,
                              bool by_trail) noexcept;
    /// Which slot this event is of, if it is in hand.
    [[nodiscard]] std::optional<std::uint32_t> slot_of(Sequence s) const noexcept;
    /// These say whether it was in hand until now. @pre slot_of(s) said so
    bool acknowledge(std::uint32_t slot) noexcept;
    bool put_back(std::uint32_t slot, std::uint64_t due_ns, Failure failure) noexcept;
    bool touch(std::uint32_t slot, std::uint64_t now_ns) noexcept;
    /// How often the event in hand was handed out.
    [[nodiscard]] std::uint32_t attempts(std::uint32_t slot) const noexcept {
        return TriesWord(table_.slot(slot).tries.load_relaxed()).count();
    }
    [[nodiscard]] std::uint32_t in_hand() const noexcept { return in_hand_; }
    [[nodiscard]] bool is_full() const noexcept { return in_hand_ >= options_.max_in_flight; }
    /// Visits all that is in hand as (slot, sequence); what it visits may be acknowledged or put back meanwhile.
    template <class Visit> void for_each_in_hand(Visit visit) noexcept {
        for (std::uint32_t k = first_, next; k != none; k = next) {
            next = own_[k].next;
            visit(k, own_[k].at);
        }
    }
    void count_set_aside() noexcept { table_.header().set_aside.fetch_add_seq_cst(1); }

    [[nodiscard]] const GroupOptions& options() const noexcept { return options_; }
    [[nodiscard]] const Table& table() const noexcept { return table_; }

  private:
    enum class Phase : std::uint8_t { foreign, synced, rest, out };
    static constexpr std::uint32_t none = key_slots;
    struct Own {
        std::uint64_t word = 0; // as it left the slot's
        Sequence resume = 0;    // rest, or lagging: nothing of it is left before this
        Sequence at = 0;        // out: the event in hand
        std::uint64_t due = 0;  // rest: not before
        Phase phase = Phase::foreign;
        bool lagging = false; // something of it may lie between `resume` and the front
        bool missed =
            false; // the trail was too far on to turn back for it: the next round finds it
        bool recalled = false;
        std::uint32_t next = none; // of what is in hand, in the order of taking
        std::uint32_t previous = none;
        [[nodiscard]] bool may_go() const noexcept { return due == 0 && !recalled; }
    };
    void take_over() noexcept;
    void take_over(std::uint32_t slot) noexcept;
    void lose(std::uint32_t slot) noexcept;
    bool change(std::uint32_t slot, SlotPhase phase, Sequence seq) noexcept;
    bool is_own(std::uint32_t slot) noexcept;
    bool set_due(std::uint32_t slot, bool waits, std::uint64_t due_ns) noexcept;
    void rest(std::uint32_t slot, Sequence resume, bool lagging, std::uint64_t due) noexcept;
    void look_for(Own& own) noexcept;
    void wake_due(std::uint64_t now_ns) noexcept;
    void hold(std::uint32_t slot, Sequence s) noexcept;
    void drop(std::uint32_t slot) noexcept;

    Table table_;
    std::uint32_t index_;
    GroupOptions options_;
    std::uint64_t moves_ = ~std::uint64_t{0};
    Sequence front_;
    Sequence trail_ = 0;
    bool trail_on_ = false;
    std::uint64_t way_ = 0; // of the trail, since it turned back
    std::uint64_t next_due_ = 0;
    std::uint32_t ahead_ = 0; // slots, at most, that wait for the front to reach `resume`
    std::uint32_t in_hand_ = 0;
    std::uint32_t first_ = none;
    std::uint32_t last_ = none;
    std::array<Own, key_slots> own_;
};

} // namespace shmbus::group
