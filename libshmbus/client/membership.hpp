// What a subscription needs besides when it is a member of a group: which events are its own, the way back to those
// that it could not take at once, and where it sets aside what cannot be processed.
#pragma once

#include "client/attachment.hpp"
#include "client/letters.hpp"
#include "client/past.hpp"
#include "group/member.hpp"
#include "ring/reader.hpp"

namespace shmbus::client {

struct HeldEvent;

class Membership final : public ring::Pick {
  public:
    /// All outlive it. @param front the first event that it looks at
    Membership(std::shared_ptr<control::Session> session, const Attachment& attachment,
               ring::Reader& reader, const ring::Filter& filter, Sequence front);

    bool wants(const layout::EventHeader& header, Sequence s) noexcept override {
        const std::uint32_t slot = slot_of(header, s);
        return trailing_ ? state_.trail_wants(slot, s) : state_.front_wants(slot, s);
    }

    /// Before each look: what has changed since the last.
    void refresh() noexcept {
        if (state_.look_around()) has_moved_ = true;
        state_.beat();
        if (state_.next_due() != 0) state_.wake(base::monotonic_ns());
        if (state_.front() - settled_at_ >= settle_interval_) settle();
    }
    /// Brings the group's cursor to where publishers see it, if this member has done anything since the last time.
    /// After the last look before it sleeps or goes away, and now and then.
    void settle() noexcept {
        if (has_moved_ || state_.front() != settled_at_) settle_now();
    }

    /// Whether the trail is to be followed first, if there is one; front and trail take turns.
    [[nodiscard]] bool prefers_trail() const noexcept { return trails_turn_; }
    void aim_at_front() noexcept { trailing_ = false; }

    enum class Look : std::uint8_t {
        event,   // in the place given
        gap,     // in gap()
        skipped, // look again
        nothing,
    };
    /// Follows the trail for one look. Asks the daemon for files at most until `limit`. @pre state().trail()
    Look follow_trail(HeldEvent& held, Deadline limit) noexcept;
    [[nodiscard]] const Gap& gap() const noexcept { return gap_; }
    /// When the trail, which found nothing, may find something, although nobody rings.
    [[nodiscard]] Deadline look_again() const noexcept;

    /// What was found goes to the user; false: it is not this member's any more, or was set aside.
    bool take(HeldEvent& held, bool by_trail, Deadline limit) noexcept;

    Acknowledged acknowledge(Sequence s) noexcept;
    Acknowledged acknowledge_through(Sequence s) noexcept;
    Acknowledged nack(Sequence s, std::optional<std::chrono::nanoseconds> delay) noexcept;
    Acknowledged touch(Sequence s) noexcept;
    Acknowledged reject(const HeldEvent& held, std::string_view reason) noexcept;

    /// Whether a look may find something that no bell is rung for.
    [[nodiscard]] bool is_ready() const noexcept;
    [[nodiscard]] group::Member& state() noexcept { return state_; }
    [[nodiscard]] const group::Member& state() const noexcept { return state_; }
    [[nodiscard]] layout::HoldState hold_state() const noexcept {
        return state_.is_over() ? layout::HoldState::ended : state_.state();
    }

  private:
    [[nodiscard]] std::uint32_t slot_of(const layout::EventHeader& header,
                                        Sequence s) const noexcept {
        return layout::key_slot_of(state_.options().order, (header.flags & layout::flag_key) != 0,
                                   header.key_hash, s);
    }
    void settle_now() noexcept;
    Look look_in_ring(HeldEvent& held, Sequence at) noexcept;
    Look look_in_files(HeldEvent& held, Sequence at, Deadline limit) noexcept;
    Look report(const Gap& gap) noexcept;
    void set_aside(const HeldEvent& held, std::string_view reason, std::uint32_t attempts,
                   Deadline limit) noexcept;
    [[nodiscard]] std::uint64_t pause_after(std::uint32_t slot) const noexcept;

    const ring::Topic& topic_;
    ring::Reader& reader_;
    group::Member state_;
    std::uint32_t index_;
    bool is_gate_; // publishers wait for its cursor
    std::optional<Past> past_;
    Letters letters_;
    bool trailing_ = false;
    bool trails_turn_ = true;
    Gap gap_;
    Deadline look_again_ = Deadline::never();
    bool has_moved_ = true;   // since the last settle(), something was acknowledged, say
    Sequence settled_at_ = 0; // the front, at that time
    Sequence settle_interval_;
};

} // namespace shmbus::client
