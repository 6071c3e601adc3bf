#include "client/membership.hpp"

#include "base/clock.hpp"
#include "client/receiver.hpp"

#include <algorithm>

namespace shmbus::client {

namespace {

constexpr auto when_files_are_late = std::chrono::milliseconds(20);
/// Until a letter that could not be written is tried again.
constexpr std::uint64_t letter_pause_ns = 2'000'000'000;
constexpr std::chrono::nanoseconds longest_delay = std::chrono::hours(7 * 24);
/// Others have their turn before an event that failed comes again.
constexpr std::uint64_t least_pause_ns = 1'000'000;

std::string_view reason_of(group::Failure failure) noexcept {
    switch (failure) {
    case group::Failure::nacked: return "failed: not acknowledged (nack)";
    case group::Failure::timed_out:
        return "failed: neither acknowledged nor touched within ack_wait";
    case group::Failure::member_gone: return "failed: its member died or left";
    case group::Failure::none: break;
    }
    return "failed";
}

} // namespace

Membership::Membership(std::shared_ptr<control::Session> session, const Attachment& attachment,
                       ring::Reader& reader, const ring::Filter& filter, Sequence front)
    : topic_(attachment.topic()), reader_(reader),
      state_(*attachment.group(), attachment.lease().entry, attachment.group_options(), front,
             layout::lease_of(layout::attach_word(attachment.lease().token, {}))),
      index_(attachment.lease().entry),
      is_gate_(topic_.ring.parameters().gate ==
                   static_cast<std::uint8_t>(layout::GateKind::readers) &&
               topic_.ring.parameters().full_policy !=
                   static_cast<std::uint8_t>(FullPolicy::drop_oldest)),
      letters_(std::move(session), attachment.lease().topic, attachment.lease().subscription),
      settle_interval_(std::clamp<Sequence>(topic_.ring.capacity() / 8, 1, 1024)) {
    const auto in_memory = static_cast<std::uint8_t>(layout::GateKind::readers);
    if (topic_.ring.parameters().gate != in_memory)
        past_.emplace(attachment.lease(), topic_, filter);
    settled_at_ = front;
}

// ---- the group's cursor ------------------------------------------------------------------------

/// Members that sleep cannot move their own cursors, and publishers wait for those: whoever is awake moves all. An
/// entry that went to somebody else between the two looks, who reads the past of a topic in memory, gets a gap.
void Membership::settle_now() noexcept {
    has_moved_ = false;
    settled_at_ = state_.front();
    state_.settle();
    base::full_fence(); // of two that settle at once, one sees the other's front
    const auto& table = state_.table();
    const Sequence done = table.done_up_to(reader_.head());
    if (done <= reader_.cursor() && !is_gate_) return;
    reader_.acknowledge_shared(done);
    if (!is_gate_) return;
    const auto limit = std::min<std::uint32_t>(topic_.readers.reader_limit(), layout::max_members);
    for (std::uint32_t i = 0; i < limit; ++i) {
        const std::uint64_t lease = table.member(i).lease.load_acquire(); // pairs with Member
        auto& entry = topic_.readers.entry(i);
        if (i == index_ || lease == 0 || table.member(i).ended.load_acquire() != 0 ||
            layout::lease_of(entry.attach.load_acquire()) != lease)
            continue;
        if (entry.cursor.load_relaxed() < done) entry.cursor.raise_seq_cst(done);
    }
    topic_.space_bell().ring_if_needed();
}

// ---- the trail ---------------------------------------------------------------------------------

Membership::Look Membership::follow_trail(HeldEvent& held, Deadline limit) noexcept {
    trailing_ = has_moved_ = true;
    look_again_ = Deadline::never();
    const Sequence at = *state_.trail();
    if (at >= state_.front()) {
        state_.pass_trail(at);
        return Look::skipped;
    }
    // The ring of a later daemon may begin behind it.
    const bool is_in_ring = reader_.has(at, 1) && at >= topic_.ring.parameters().first_sequence;
    return !past_ || is_in_ring ? look_in_ring(held, at) : look_in_files(held, at, limit);
}

Membership::Look Membership::look_in_ring(HeldEvent& held, Sequence at) noexcept {
    reader_.look_at(std::max(at, topic_.ring.parameters().first_sequence));
    const auto found = reader_.look(held.place);
    const Sequence next = reader_.position();
    switch (found) {
    case ring::Reader::Look::event: return Look::event;
    case ring::Reader::Look::skipped: state_.pass_trail(next); return Look::skipped;
    case ring::Reader::Look::gap:
        if (past_ && reader_.gap().reason == GapReason::overrun) return Look::skipped; // by now
        state_.pass_trail(next);
        return report(reader_.gap());
    case ring::Reader::Look::closed:
    case ring::Reader::Look::nothing: break;
    }
    state_.pass_trail(next); // it has come to the ring's end: the front is no further
    return Look::nothing;
}

Membership::Look Membership::look_in_files(HeldEvent& held, Sequence at, Deadline limit) noexcept {
    // What was there before the ring was made it never had.
    const Sequence head = reader_.head();
    const Sequence lost = std::max(head - std::min<Sequence>(head, topic_.ring.capacity()),
                                   topic_.ring.parameters().first_sequence - 1);
    if (past_->position() != at) past_->seek(at, lost);
    past_->ring_has_lost(lost);
    const auto found = past_->look(held.place, held.keep, limit);
    const Sequence next = past_->position();
    switch (found) {
    case Past::Look::event: return Look::event;
    case Past::Look::gap: state_.pass_trail(next); return report(past_->gap());
    case Past::Look::skipped: state_.pass_trail(next); return Look::skipped;
    case Past::Look::nothing: break;
    }
    look_again_ = when_files_are_late;
    return Look::nothing;
}

/// The front was told of tombstones already; the rest has been lost since.
Membership::Look Membership::report(const Gap& gap) noexcept {
    if (gap.reason == GapReason::aborted) return Look::skipped;
    gap_ = gap;
    return Look::gap;
}

Deadline Membership::look_again() const noexcept {
    if (state_.next_due() == 0) return look_again_;
    using Time = Deadline::Clock::time_point;
    const Time due{std::chrono::nanoseconds(state_.next_due())};
    return std::min(look_again_.when(), due);
}

bool Membership::is_ready() const noexcept {
    if (state_.has_news() || state_.is_full()) return true;
    if (state_.trail()) return look_again_.is_never() || look_again_.passed();
    return state_.next_due() != 0 && base::monotonic_ns() >= state_.next_due();
}

// ---- what is in hand ---------------------------------------------------------------------------

/// The trail passes an event after it was taken: a slot that the trail has looked at to the end counts as done up to
/// the front, and who died in between would have lost the event.
bool Membership::take(HeldEvent& held, bool by_trail, Deadline limit) noexcept {
    const Sequence s = held.place.sequence;
    held.slot = slot_of(held.place.header, s);
    const auto taken = state_.take(held.slot, s, base::coarse_ns(), by_trail);
    if (by_trail) state_.pass_trail(s + 1);
    trails_turn_ = !by_trail;
    if (!taken) return false;
    held.attempt = taken->attempt;
    if (!taken->is_too_often) return true;
    set_aside(held, reason_of(taken->failure), state_.options().max_deliver, limit);
    return false;
}

void Membership::set_aside(const HeldEvent& held, std::string_view reason, std::uint32_t attempts,
                           Deadline limit) noexcept {
    has_moved_ = true;
    if (letters_.write(held.place, reason, attempts, limit)) {
        if (state_.acknowledge(held.slot)) state_.count_set_aside();
    } else {
        state_.put_back(held.slot, base::monotonic_ns() + letter_pause_ns, group::Failure::nacked);
    }
}

Acknowledged Membership::acknowledge(Sequence s) noexcept {
    has_moved_ = true;
    const auto slot = state_.slot_of(s);
    return slot && state_.acknowledge(*slot) ? Acknowledged::done : Acknowledged::not_held;
}

Acknowledged Membership::acknowledge_through(Sequence s) noexcept {
    has_moved_ = true;
    bool any = false;
    state_.for_each_in_hand([&](std::uint32_t slot, Sequence at) {
        if (at <= s) any |= state_.acknowledge(slot);
    });
    return any ? Acknowledged::done : Acknowledged::not_held;
}

/// Of the event of this slot that has just failed.
std::uint64_t Membership::pause_after(std::uint32_t slot) const noexcept {
    return group::back_off_ns(state_.options(), state_.attempts(slot));
}

Acknowledged Membership::nack(Sequence s, std::optional<std::chrono::nanoseconds> delay) noexcept {
    const auto slot = state_.slot_of(s);
    if (!slot) return Acknowledged::not_held;
    std::uint64_t pause = pause_after(*slot);
    if (delay)
        pause = static_cast<std::uint64_t>(
            std::clamp(*delay, std::chrono::nanoseconds::zero(), longest_delay).count());
    const std::uint64_t due = base::monotonic_ns() + std::max(pause, least_pause_ns);
    return state_.put_back(*slot, due, group::Failure::nacked) ? Acknowledged::done
                                                               : Acknowledged::not_held;
}

Acknowledged Membership::touch(Sequence s) noexcept {
    state_.beat();
    const auto slot = state_.slot_of(s);
    return slot && state_.touch(*slot, base::coarse_ns()) ? Acknowledged::done
                                                          : Acknowledged::not_held;
}

Acknowledged Membership::reject(const HeldEvent& held, std::string_view reason) noexcept {
    const auto slot = state_.slot_of(held.place.sequence);
    if (!slot || !state_.touch(*slot, base::coarse_ns())) return Acknowledged::not_held;
    // One that was held for too long has lost its payload: it comes again, and can be rejected then.
    if (!reader_.is_intact(held.place) ||
        !letters_.write(held.place, reason, state_.attempts(*slot), Letters::longest)) {
        state_.put_back(*slot, base::monotonic_ns() + letter_pause_ns, group::Failure::nacked);
        return Acknowledged::not_set_aside;
    }
    has_moved_ = true;
    if (!state_.acknowledge(*slot)) return Acknowledged::not_held;
    state_.count_set_aside();
    return Acknowledged::done;
}

} // namespace shmbus::client
