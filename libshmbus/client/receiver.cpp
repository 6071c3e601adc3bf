#include "client/receiver.hpp"

#include "base/clock.hpp"
#include "base/hash.hpp"
#include "client/open.hpp"
#include "shmbus/error.hpp"

#include <bit>
#include <thread>
#include <utility>

namespace shmbus::client {

namespace {

/// For who waits for a file.
constexpr auto sleep_when_behind = std::chrono::milliseconds(20);

ring::Filter filter_of(const SubscribeOptions& options) {
    ring::Filter filter{options.types, options.key, 0};
    if (options.key) filter.key_hash = base::key_hash(*options.key);
    return filter;
}

bool one_core() noexcept {
    static const bool one = std::thread::hardware_concurrency() == 1;
    return one;
}

void check_member(const SubscribeOptions& options) {
    check_group(*options.group);
    const auto refuse = [](const char* why) { throw Error(Errc::bad_argument, why); };
    if (options.name.empty()) refuse("a group has a name: set SubscribeOptions::name");
    if (!options.types.empty() || options.key)
        refuse("members of a group have no filters: each event goes to one of them");
    if (options.steal) refuse("nobody steals a group: its members are many");
    if (options.lossy) refuse("a member of a group cannot be lossy");
}

} // namespace

Receiver::Receiver(std::shared_ptr<control::Session> session, control::Lease lease,
                   const SubscribeOptions& options)
    : session_(std::move(session)), attachment_(session_, std::move(lease), Role::subscriber),
      filter_(filter_of(options)),
      reader_(attachment_.topic(), attachment_.lease().entry, attachment_.lease().token,
              options.lossy, filter_, ring::End::removed),
      page_(attachment_.cursor_page()), auto_acknowledge_(options.auto_acknowledge),
      trusts_publishers_(options.trust_publishers.value_or(attachment_.lease().trusted)),
      spin_(one_core() ? std::chrono::nanoseconds::zero() : options.spin),
      max_age_(options.max_age) {
    const std::size_t each = reader_.ring().inline_capacity();
    buffers_.resize(each * held_.size());
    for (std::uint32_t i = 0; i < held_.size(); ++i) {
        held_[i].receiver = this;
        held_[i].place.cell = i;
        held_[i].place.buffer = buffers_.data() + i * each;
    }
    join(options);
}

void Receiver::join(const SubscribeOptions& options) {
    // A durable subscription that has begun goes on where it was.
    const auto& acknowledged = attachment_.lease().acknowledged;
    const Start start = acknowledged ? Start::sequence(*acknowledged + 1) : options.start;
    reader_.join(start);
    const auto in_memory = static_cast<std::uint8_t>(layout::GateKind::readers);
    if (attachment_.lease().parameters.gate != in_memory) {
        past_.emplace(attachment_.lease(), attachment_.topic(), filter_);
        begin_in_the_past(start);
    }
    if (page_ != nullptr) page_->cursor.store_release(reader_.position() - 1);
    if (attachment_.group()) join_group();
}

/// What the ring would begin with is not all there is.
void Receiver::begin_in_the_past(const Start& start) {
    std::optional<Sequence> first;
    switch (start.kind()) {
    case Start::Kind::latest: return;
    case Start::Kind::all: first = past_->oldest(); break;
    case Start::Kind::time: first = past_->at_time(start.value()); break;
    case Start::Kind::sequence: first = std::max<Sequence>(start.value(), 1); break;
    case Start::Kind::last:
        // A ring that was made anew has nothing yet.
        if (reader_.head() + 1 == reader_.ring().parameters().first_sequence)
            first = reader_.head();
        break;
    }
    if (!first || *first == 0 || *first >= reader_.position()) return;
    behind_until_ = reader_.position() - 1;
    past_->seek(*first, behind_until_);
    move_to(*first, *first - 1);
    behind_ = true;
}

void Receiver::move_to(Sequence next, Sequence last_event) noexcept {
    if (member_)
        reader_.look_at(next);
    else
        reader_.go_to(next, last_event);
}

/// The ring has lost these, for this subscriber alone.
void Receiver::fall_behind(const Gap& gap) noexcept {
    behind_until_ = gap.last;
    past_->seek(gap.first, behind_until_);
    move_to(gap.first, std::min(reader_.last_event(), gap.first - 1));
    behind_ = true;
}

Receiver::Look Receiver::look_back(HeldEvent& held, Received& received) noexcept {
    const auto back_in_the_ring = [&](std::uint64_t margin) {
        return past_->position() > behind_until_ && reader_.has(past_->position(), margin);
    };
    // With some distance: it would be overrun again while it reads the first ones.
    look_again_ = Deadline::now();
    if (back_in_the_ring(reader_.ring().capacity() / 2)) {
        behind_ = false;
        return Look::skipped;
    }
    switch (past_->look(held.place, held.keep, patience_)) {
    case Past::Look::event:
        free_ &= free_ - 1;
        move_to(past_->position(), held.place.sequence);
        newest_ = &held;
        received = Event(&held);
        return Look::found;
    case Past::Look::gap:
        move_to(past_->position(), reader_.last_event());
        received = past_->gap();
        return Look::found;
    case Past::Look::skipped:
        move_to(past_->position(), reader_.last_event());
        return Look::skipped;
    case Past::Look::nothing: break;
    }
    if (back_in_the_ring(0)) {
        behind_ = false;
        return Look::skipped;
    }
    if (past_->position() > behind_until_) { // the ring has lost more
        behind_until_ = reader_.head() - reader_.ring().capacity();
        past_->ring_has_lost(behind_until_);
        return Look::skipped;
    }
    look_again_ = sleep_when_behind;
    if (!is_over()) return Look::nothing;
    received = Nothing::closed;
    return Look::found;
}

/// Of several that are outstanding not all are acknowledged: the newest of those that are.
void Receiver::note_time_of(Sequence acknowledged) noexcept {
    Sequence newest = 0;
    for (const auto& held : held_) {
        const Sequence s = held.place.sequence;
        if (s > acknowledged || s <= newest || s <= reader_.cursor()) continue;
        newest = s;
        as_of_ns_ = held.place.header.time_ns;
    }
}

/// What is next is on disk, and nobody is there any more to open the file.
bool Receiver::is_over() const noexcept {
    const auto& header = attachment_.topic().ring.header();
    const auto state = static_cast<layout::RingState>(header.state.load_acquire());
    return state == layout::RingState::removed &&
           header.written.load_acquire() >= past_->position();
}

Receiver::Look Receiver::look(Received& received) noexcept {
    return member_ ? look_as_member(received) : look_at_next(received);
}

Receiver::Look Receiver::look_at_next(Received& received) noexcept {
    auto& held = held_[static_cast<std::size_t>(std::countr_zero(free_))];
    if (behind_) return look_back(held, received);
    switch (reader_.look(held.place)) {
    case ring::Reader::Look::event:
        free_ &= free_ - 1;
        newest_ = &held;
        received = Event(&held);
        return Look::found;
    case ring::Reader::Look::gap:
        if (past_ && reader_.gap().reason == GapReason::overrun) {
            fall_behind(reader_.gap());
            return Look::skipped;
        }
        received = reader_.gap();
        return Look::found;
    case ring::Reader::Look::closed: received = Nothing::closed; return Look::found;
    case ring::Reader::Look::skipped: return Look::skipped;
    case ring::Reader::Look::nothing: break;
    }
    return Look::nothing;
}

Received Receiver::receive(Deadline deadline) noexcept {
    if (member_) return receive_as_member(deadline);
    if (auto_acknowledge_) acknowledge_up_to(reader_.position() - 1);
    if (page_ != nullptr && hold_state() != layout::HoldState::live) return park(deadline);
    if (pending_) return *std::exchange(pending_, std::nullopt);
    if (free_ == 0) return Nothing::too_many_held;
    if (behind_) patience_ = deadline;
    Received received = Nothing::timed_out;
    Look found = look_at_next(received);
    if (found == Look::skipped) found = look_on(deadline, received);
    if (found == Look::found || deadline.passed()) return received;
    if (spin_ > std::chrono::nanoseconds::zero() && spin(deadline, received)) return received;
    return park(deadline);
}

Received Receiver::receive_as_member(Deadline deadline) noexcept {
    if (auto_acknowledge_) acknowledge_all_as_member();
    if (hold_state() != layout::HoldState::live) return park(deadline);
    if (pending_) return *std::exchange(pending_, std::nullopt);
    if (free_ == 0) return Nothing::too_many_held;
    patience_ = deadline;
    Received received = Nothing::timed_out;
    Look found = look(received);
    if (found == Look::skipped) found = look_on(deadline, received);
    if (found == Look::found) return received;
    member_->settle();
    if (deadline.passed()) return received;
    if (spin_ > std::chrono::nanoseconds::zero() && spin(deadline, received)) return received;
    return park(deadline);
}

ReceivedBatch Receiver::receive(std::span<Event> events, Deadline deadline) noexcept {
    for (Event& event : events) event.release();
    if (events.empty()) return std::size_t{0};
    Received received = receive(deadline);
    if (const auto* nothing = std::get_if<Nothing>(&received)) return *nothing;
    if (const auto* gap = std::get_if<Gap>(&received)) return *gap;
    std::size_t count = 0;
    do {
        events[count++] = std::move(std::get<Event>(received));
        if (count == events.size() || free_ == 0 || look(received) != Look::found) return count;
    } while (std::holds_alternative<Event>(received));
    // A closed topic says so again.
    if (const auto* gap = std::get_if<Gap>(&received)) pending_ = *gap;
    return count;
}

/// Whatever the deadline, what is there now is looked at: a filter may leave out any number, but
/// not more than the ring holds, whatever its tail says. The tail is read here only: its line is
/// the publishers', and each look at it costs the next of them a transfer.
Receiver::Look Receiver::look_on(Deadline deadline, Received& received) noexcept {
    const Sequence last = position() + reader_.ring().capacity();
    const Sequence head = std::min(reader_.head(), last);
    Look found = Look::skipped;
    while (found == Look::skipped &&
           (position() <= head || !deadline.passed() || (member_ && member_->state().trail())))
        found = look(received);
    return found;
}

bool Receiver::spin(Deadline deadline, Received& received) noexcept {
    constexpr int looks_per_clock = 16; // a look and its pause take about 50 ns, the clock 20
    const Deadline until = std::min(deadline.when(), Deadline(spin_).when());
    do {
        for (int i = 0; i < looks_per_clock; ++i) {
            if (look(received) == Look::found) return true;
            // Each look takes the slot's line away from the publisher, most often when it has just
            // claimed the slot. A pause about as long as a line takes lets it finish.
            base::relax_briefly();
        }
        if (member_) member_->settle(); // who spins for ever does not sleep
    } while (!until.passed());
    return false;
}

Received Receiver::park(Deadline deadline) noexcept {
    // Whoever maps the ring can move its sleepers to a futex of its own (FUTEX_REQUEUE asks for no
    // right to write), where nobody wakes them: so nobody sleeps for ever.
    constexpr std::chrono::nanoseconds longest_sleep = std::chrono::minutes(1);
    Received received = Nothing::timed_out;
    for (;;) {
        const std::uint64_t armed_at = reader_.arm();
        const auto state = hold_state();
        if (state == layout::HoldState::ended) return Nothing::stolen;
        const Look found = state == layout::HoldState::paused ? Look::nothing : look(received);
        if (found == Look::found) return received;
        if (found == Look::skipped) { // there may be more behind it: do not sleep on it
            if (deadline.passed()) return Nothing::timed_out;
            continue;
        }
        if (member_) member_->settle(); // after the look: nobody else moves what that has passed
        const Deadline until =
            std::min({deadline.when(), look_again().when(), Deadline(longest_sleep).when()});
        const auto woken = reader_.sleep(armed_at, until);
        if (woken == base::Woken::interrupted) return Nothing::interrupted;
        if (woken == base::Woken::timed_out && deadline.passed()) return Nothing::timed_out;
    }
}

Released Receiver::release(HeldEvent* held) noexcept {
    const auto released = reader_.release(held->place);
    held->keep.reset();
    free_ |= std::uint64_t{1} << held->place.cell;
    if (orphaned_ && ~free_ == 0) delete this;
    return released;
}

void Receiver::persist(Deadline deadline) {
    if (page_ == nullptr && !member_)
        throw Error(Errc::bad_argument, "only a durable subscription has a cursor to be kept");
    if (hold_state() == layout::HoldState::ended)
        throw Error(Errc::busy, "the subscription went to another holder, or was removed");
    if (page_ != nullptr) note_cursor();
    constexpr std::chrono::nanoseconds longest = std::chrono::hours(1);
    std::chrono::nanoseconds rest{};
    if (!deadline.passed()) rest = std::min(longest, deadline.when() - Deadline::Clock::now());
    attachment_.lease().persist(rest);
}

void Receiver::orphan() noexcept {
    if (page_ != nullptr) note_cursor();
    orphaned_ = true;
    if (member_) member_->state().leave();
    reader_.leave(); // whoever still holds an event holds up nobody
    if (~free_ == 0) delete this;
}

Receiver* make_receiver(std::shared_ptr<control::Session> session, std::string_view topic,
                        const SubscribeOptions& options) {
    if (options.key && options.key->size() > max_key_bytes)
        throw Error(Errc::bad_argument, "a key has at most 255 bytes");
    if (options.group) check_member(options);
    auto lease = options.group ? session->open_member(topic, options.name, *options.group)
                               : session->open_subscriber(topic, options.name, options.steal);
    return new Receiver(std::move(session), std::move(lease), options);
}

} // namespace shmbus::client
