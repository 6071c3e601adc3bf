// What a Receiver does otherwise when it is a member of a group.
#include "client/open.hpp"
#include "client/receiver.hpp"
#include "shmbus/error.hpp"

#include <bit>

namespace shmbus::client {

void check_group(const GroupOptions& options) {
    if (const auto problem = group::problem_with(options); !problem.empty())
        throw Error(Errc::bad_argument, "GroupOptions: " + problem);
}

namespace {

bool is_closed(const Received& received) noexcept {
    const auto* nothing = std::get_if<Nothing>(&received);
    return nothing != nullptr && *nothing == Nothing::closed;
}

} // namespace

/// The group begins, or goes on, where it is; the reader has joined where this member wants it to begin.
void Receiver::join_group() {
    const auto& lease = attachment_.lease();
    Sequence front = position();
    if (!lease.acknowledged) {
        const Sequence begun = lease.begin(front) + 1;
        // Somebody else may have begun it further back, in the meantime.
        if (begun < front && past_) {
            behind_until_ = std::max(behind_until_, front - 1);
            past_->seek(begun, behind_until_);
            behind_ = true;
        } else if (begun < front) {
            reader_.join(Start::sequence(begun)); // publishers are to wait for it from there on
        }
        front = begun;
    }
    member_.emplace(session_, attachment_, reader_, filter_, front);
    filter_.pick = &*member_;
    reader_.look_only_for(&*member_);
    reader_.look_at(front);
}

Receiver::Look Receiver::look_as_member(Received& received) noexcept {
    member_->refresh();
    if (member_->state().is_full()) {
        received = Nothing::too_many_held;
        return Look::found;
    }
    const bool trail_first = member_->prefers_trail();
    bool is_at_end = false;
    for (const bool by_trail : {trail_first, !trail_first}) {
        if (by_trail && !member_->state().trail()) continue;
        Look found = by_trail ? look_at_trail(received) : look_at_front(received);
        if (found == Look::found && is_closed(received)) { // not while what failed comes again
            is_at_end = !member_->state().trail() && member_->state().next_due() == 0;
            received = Nothing::timed_out;
            found = Look::nothing;
        }
        if (found != Look::nothing) return found;
    }
    if (!is_at_end) return Look::nothing;
    received = Nothing::closed;
    return Look::found;
}

Receiver::Look Receiver::look_at_front(Received& received) noexcept {
    member_->aim_at_front();
    reader_.look_at(member_->state().front());
    Look found = look_at_next(received);
    const Sequence next = behind_ ? past_->position() : reader_.position();
    if (found == Look::found && std::holds_alternative<Event>(received))
        found = take_as_member(received, false);
    member_->state().pass(next); // after what was taken of it
    return found;
}

Receiver::Look Receiver::look_at_trail(Received& received) noexcept {
    auto& held = held_[static_cast<std::size_t>(std::countr_zero(free_))];
    switch (member_->follow_trail(held, patience_)) {
    case Membership::Look::event:
        free_ &= free_ - 1;
        received = Event(&held);
        return take_as_member(received, true);
    case Membership::Look::gap: received = member_->gap(); return Look::found;
    case Membership::Look::skipped: return Look::skipped;
    case Membership::Look::nothing: break;
    }
    return Look::nothing;
}

Receiver::Look Receiver::take_as_member(Received& received, bool by_trail) noexcept {
    auto* held = std::get<Event>(received).held_;
    if (member_->take(*held, by_trail, patience_)) {
        newest_ = held;
        return Look::found;
    }
    received = Nothing::timed_out; // lets go of it
    return Look::skipped;
}

Acknowledged Receiver::acknowledge_as_member(Sequence s) noexcept {
    if (newest_ != nullptr && newest_->place.sequence == s)
        as_of_ns_ = newest_->place.header.time_ns;
    return member_->acknowledge(s);
}

void Receiver::acknowledge_all_as_member() noexcept {
    if (member_->state().in_hand() == 0) return;
    if (newest_ != nullptr) as_of_ns_ = newest_->place.header.time_ns;
    (void)member_->acknowledge_through(layout::max_sequence);
}

Acknowledged Receiver::reject(const Event& event, std::string_view reason) noexcept {
    if (!member_ || event.held_ == nullptr || event.held_->receiver != this)
        return Acknowledged::not_held;
    return member_->reject(*event.held_, reason);
}

} // namespace shmbus::client
