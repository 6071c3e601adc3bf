#include "ring/reader.hpp"

#include "base/clock.hpp"
#include "base/prefetch.hpp"

#include <algorithm>

namespace shmbus::ring {

namespace {

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) noexcept {
    return (bytes + to - 1) / to * to;
}

} // namespace

bool Filter::lets_through(const layout::EventHeader& header, Sequence s) const noexcept {
    if (pick != nullptr) return pick->wants(header, s);
    if (!types.empty() && std::find(types.begin(), types.end(), header.type) == types.end())
        return false;
    return !key || ((header.flags & layout::flag_key) != 0 && header.key_hash == key_hash);
}

Reader::Reader(const Topic& topic, std::uint32_t index, std::uint64_t token, bool lossy,
               Filter filter, End end) noexcept
    : topic_(topic), index_(index), token_(token),
      gates_(!lossy &&
             topic.ring.parameters().gate == static_cast<std::uint8_t>(layout::GateKind::readers) &&
             topic.ring.parameters().full_policy !=
                 static_cast<std::uint8_t>(FullPolicy::drop_oldest)),
      end_(end), filter_(std::move(filter)), filters_(filter_.is_there()) {}

// ---- joining -----------------------------------------------------------------------------------

Sequence Reader::oldest(Sequence tail) const noexcept {
    const Sequence first = topic_.ring.parameters().first_sequence;
    return tail - first > topic_.ring.capacity() ? tail - topic_.ring.capacity() : first;
}

Sequence Reader::start_of(const Start& start) const noexcept {
    const Sequence tail = head() + 1; // once: what is walked must be bounded whoever writes there
    const auto committed = [&](Sequence s) {
        return topic_.ring.slot(s).stamp.load_acquire() ==
               Stamp::slot(s, SlotState::committed).word();
    };
    switch (start.kind()) {
    case Start::Kind::all: return oldest(tail);
    case Start::Kind::latest: return tail;
    case Start::Kind::last:
        for (Sequence s = tail; s-- > oldest(tail);)
            if (committed(s)) return s;
        return tail;
    case Start::Kind::sequence:
        // A stamp tells sequences apart within 2^47; what is further away is as good as never.
        return std::max(std::min(start.value(), tail + (Sequence{1} << 46U)),
                        topic_.ring.parameters().first_sequence);
    case Start::Kind::time:
        for (Sequence s = oldest(tail); s < tail; ++s)
            if (committed(s) && topic_.ring.slot(s).header[0].load_relaxed() >= start.value() &&
                unchanged(topic_.ring.slot(s), Stamp::slot(s, SlotState::committed).word()))
                return s;
        return tail;
    }
    return tail;
}

void Reader::join(const Start& start) noexcept {
    next_ = start_of(start);
    // Nobody has to wait for what is gone already.
    announce(std::max(next_, oldest(head() + 1)) - 1);
    // What is published from here on is new; what came between the two looks was not waited for.
    if (start.kind() == Start::Kind::latest) next_ = std::max(next_, head() + 1);
    acknowledged_ = last_event_ = next_ - 1;
    publish_cursor();
}

/// The joiner's side of the two-sided rule in ring/gate.hpp. What lies between next_ and the floor
/// found here is read while it lasts; what is overwritten first is reported as a gap.
void Reader::announce(Sequence cursor) noexcept {
    auto& entry = topic_.readers.entry(index_);
    const auto mode = gates_ ? layout::ReaderMode::gate : layout::ReaderMode::lossy;
    // The cursor of the entry's previous holder would do as well (model gate -DENTRY_REUSE), but
    // publishers would first run up to it.
    entry.cursor.store_relaxed(cursor);
    entry.attach.store_release(layout::attach_word(token_, mode)); // pairs with Gate::slowest
    cursor_ = cursor;
    if (!gates_) return;
    base::full_fence(); // pairs with Gate::refresh
    const std::uint32_t limit = topic_.ring.publisher_limit();
    for (std::uint32_t p = 0; p < limit; ++p)
        cursor_ = std::max(cursor_, topic_.ring.publisher(p).gate.load_relaxed());
    cursor_ = std::max(cursor, std::min(cursor_, head()));
    entry.cursor.store_release(cursor_);
}

bool Reader::was_evicted() const noexcept {
    return gates_ && topic_.ring.watch(index_).lossy.load_acquire() ==
                         layout::attach_word(token_, layout::ReaderMode::gate);
}

/// Publishers wait for it no more: they marked it, or another subscriber wrote over its word. Only as long
/// as the entry is its own, says the ring: nobody else may write there, and it not in somebody else's.
bool Reader::must_announce() const noexcept {
    if (!gates_) return false;
    const auto own = layout::attach_word(token_, layout::ReaderMode::gate);
    const auto& watch = topic_.ring.watch(index_);
    if (watch.lossy.load_acquire() == own) return true;
    return topic_.readers.entry(index_).attach.load_relaxed() != own &&
           layout::same_lease(watch.seen.load_acquire(), layout::seen_word(own, 0, false));
}

void Reader::leave() noexcept {
    if (!gates_) return;
    topic_.readers.entry(index_).attach.store_release(
        layout::attach_word(token_, layout::ReaderMode::lossy));
    gates_ = false;
    topic_.space_bell().ring();
}

void Reader::rejoin() noexcept {
    token_ = layout::next_token(token_);
    announce(settled());
}

// ---- looking -----------------------------------------------------------------------------------

Reader::Look Reader::look(Place& place) noexcept {
    constexpr int patience = 1024;
    for (int skipped = 0; skipped < patience;) {
        Slot& slot = topic_.ring.slot(next_);
        base::prefetch_for_read(slot.inline_bytes); // its line travels beside the stamp's
        // Acquire: pairs with Writer::commit. Sequentially consistent: the look after arm().
        const std::uint64_t stamp = slot.stamp.load_seq_cst();
        if (stamp != Stamp::slot(next_, SlotState::committed).word()) {
            const Look found = resolve(Stamp(stamp));
            if (found != Look::skipped) return found;
            ++skipped;
            continue;
        }
        switch (copy_out(slot, stamp, place)) {
        case Copy::done:
            if (skipped != 0) publish_cursor(); // before this event holds it up
            place.sequence = last_event_ = next_++;
            overrun_margin_ = 0;
            return Look::event;
        case Copy::left_out:
            ++next_;
            ++skipped;
            break;
        case Copy::changed: // the next look says what it became
            ++skipped;
            break;
        case Copy::corrupt: return report(next_, GapReason::corrupt);
        }
    }
    publish_cursor();
    return Look::skipped;
}

bool Reader::is_ready() const noexcept {
    const Stamp stamp(topic_.ring.slot(next_).stamp.load_seq_cst());
    const std::int64_t ahead = stamp.ahead_of(next_);
    if (stamp.word() != 0 && ahead >= 0)
        return ahead > 0 || stamp.slot_state() != SlotState::claimed;
    return is_at_end();
}

bool Reader::is_at_end() const noexcept {
    const auto state = static_cast<layout::RingState>(topic_.ring.header().state.load_seq_cst());
    return state == layout::RingState::removed ||
           (end_ == End::closed && state == layout::RingState::closed);
}

Reader::Look Reader::resolve(Stamp stamp) noexcept {
    const std::int64_t ahead = stamp.ahead_of(next_);
    if (stamp.word() != 0 && ahead > 0) return overrun();
    if (stamp.word() != 0 && ahead == 0) {
        switch (stamp.slot_state()) {
        case SlotState::aborted:
        case SlotState::quarantined: return tombstones();
        case SlotState::evicted: return without_payload(stamp);
        case SlotState::claimed: publish_cursor(); return Look::nothing;
        case SlotState::empty:
        case SlotState::committed: // with an owner, or it would not have come here
            break;
        }
        return report(next_, GapReason::corrupt); // no stamp that anybody would write
    }
    publish_cursor(); // past what the filter left out
    if (must_announce()) rejoin();
    if (!is_at_end()) return Look::nothing;
    // A publisher looks at the state again after its claim: either it sees the ring closed, or we
    // see its claim here.
    const bool untouched = topic_.ring.slot(next_).stamp.load_seq_cst() == stamp.word();
    return untouched ? Look::closed : Look::nothing;
}

/// How far those from next_ on reach that are in one of the states.
Sequence Reader::last_in(SlotState one, SlotState other) const noexcept {
    const auto is_in = [&](Sequence s) {
        const Stamp stamp(topic_.ring.slot(s).stamp.load_acquire());
        return stamp.ahead_of(s) == 0 && (stamp.slot_state() == one || stamp.slot_state() == other);
    };
    Sequence last = next_;
    while (last - next_ < topic_.ring.capacity() && is_in(last + 1)) ++last;
    return last;
}

Reader::Look Reader::tombstones() noexcept {
    return report(last_in(SlotState::aborted, SlotState::quarantined), GapReason::aborted);
}

/// Its chunk has been reused. Its header is there: nobody may have asked for it.
Reader::Look Reader::without_payload(Stamp stamp) noexcept {
    if (!filters_) return lose(last_in(SlotState::evicted, SlotState::evicted));
    layout::EventHeader header;
    load_header(topic_.ring.slot(next_), header);
    if (!unchanged(topic_.ring.slot(next_), stamp.word())) return Look::skipped;
    if (filter_.lets_through(header, next_)) return lose(next_);
    ++next_;
    return Look::skipped;
}

Reader::Look Reader::overrun() noexcept {
    // Publishers at full speed overwrite the oldest event before it can be read. Each overrun in a
    // row leaves twice the distance of the one before.
    const Sequence tail = head() + 1;
    const Sequence resume = std::max(std::min(oldest(tail) + overrun_margin_, tail), next_ + 1);
    overrun_margin_ = std::min<std::uint64_t>(overrun_margin_ * 2 + 1, topic_.ring.capacity() / 2);
    return lose(resume - 1);
}

Reader::Look Reader::lose(Sequence last) noexcept {
    const Look look = report(last, was_evicted() ? GapReason::evicted : GapReason::overrun);
    if (must_announce()) rejoin();
    return look;
}

Reader::Look Reader::report(Sequence last, GapReason reason) noexcept {
    gap_ = {next_, last, reason};
    next_ = last + 1;
    publish_cursor();
    return Look::gap;
}

// ---- copying -----------------------------------------------------------------------------------

bool Reader::unchanged(const Slot& slot, std::uint64_t stamp) noexcept {
    base::acquire_fence(); // pairs with the release fence after the claim (litmus A3, A4)
    return slot.stamp.load_relaxed() == stamp;
}

Reader::Copy Reader::copy_out(Slot& slot, std::uint64_t stamp, Place& place) noexcept {
    load_header(slot, place.header);
    return filters_ ? copy_if_wanted(slot, stamp, place) : copy_payload(slot, stamp, place);
}

/// Not inline, so that who has no filter saves no registers for it.
[[gnu::noinline]] Reader::Copy Reader::copy_if_wanted(Slot& slot, std::uint64_t stamp,
                                                      Place& place) noexcept {
    if (!filter_.lets_through(place.header, next_))
        return unchanged(slot, stamp) ? Copy::left_out : Copy::changed;
    return copy_payload(slot, stamp, place);
}

Reader::Copy Reader::copy_payload(Slot& slot, std::uint64_t stamp, Place& place) noexcept {
    return place.header.chunk == layout::no_chunk ? copy_inline(slot, stamp, place)
                                                  : hold_chunk(slot, stamp, place);
}

Reader::Copy Reader::copy_inline(Slot& slot, std::uint64_t stamp, Place& place) noexcept {
    const std::size_t extension = round_up(place.header.extension, 8);
    const std::size_t body = extension + place.header.length;
    if (body > topic_.ring.inline_capacity())
        return unchanged(slot, stamp) ? Copy::corrupt : Copy::changed;
    base::load_bytes_relaxed(place.buffer, slot.inline_bytes, body);
    if (!unchanged(slot, stamp)) return Copy::changed;
    place.extension = {place.buffer, place.header.extension};
    place.payload = {place.buffer + extension, place.header.length};
    return !filters_ || filter_.lets_through_key(place.extension) ? Copy::done : Copy::left_out;
}

Reader::Copy Reader::hold_chunk(Slot& slot, std::uint64_t stamp, Place& place) noexcept {
    const std::uint32_t chunk = place.header.chunk;
    const std::size_t offset = round_up(place.header.extension, base::cache_line);
    if (chunk >= topic_.ring.chunk_count() ||
        offset + place.header.length > topic_.ring.chunk(chunk).size())
        return unchanged(slot, stamp) ? Copy::corrupt : Copy::changed;

    ++holds_;
    // The cell before the bit, and on the way back after it: a bit that is seen is accounted for.
    topic_.readers.cells(index_)[place.cell].store_release(
        layout::hold_word(chunk, base::coarse_ms()));
    topic_.readers.bits(chunk)[index_ / 64].fetch_or_acq_rel(std::uint64_t{1} << index_ % 64);
    base::full_fence(); // between the hold and the stamp; pairs with Pool::reuse (litmus H2)
    const auto body = topic_.ring.chunk(chunk);
    place.extension = {body.data(), place.header.extension};
    place.payload = {body.data() + offset, place.header.length};
    if (slot.stamp.load_acquire() != stamp) {
        drop_hold(place);
        return Copy::changed;
    }
    if (!filter_.lets_through_key(place.extension)) {
        // If the hold was revoked meanwhile, it was not this event's key.
        const bool was_its_key = unchanged(slot, stamp);
        drop_hold(place);
        return was_its_key ? Copy::left_out : Copy::changed;
    }
    return Copy::done;
}

void Reader::drop_hold(Place& place) noexcept {
    const std::uint32_t chunk = place.header.chunk;
    auto* cells = topic_.readers.cells(index_);
    // A chunk that was revoked may have come back to this reader with another event.
    bool held_again = false;
    --holds_;
    for (std::uint32_t i = 0; holds_ != 0 && i < layout::hold_cells; ++i)
        held_again |= i != place.cell && cells[i].load_relaxed() >> 32U == std::uint64_t{chunk} + 1;
    // Sequentially consistent: before the look at space_armed in Bell::somebody_sleeps().
    if (!held_again)
        topic_.readers.bits(chunk)[index_ / 64].fetch_and_seq_cst(
            ~(std::uint64_t{1} << index_ % 64));
    cells[place.cell].store_release(0);
    const auto policy = static_cast<FullPolicy>(topic_.ring.parameters().full_policy);
    if (policy == FullPolicy::block) topic_.space_bell().ring_if_needed(); // the others never sleep
}

bool Reader::is_intact(const Place& place) const noexcept {
    if (place.header.chunk == layout::no_chunk) return true;
    base::acquire_fence(); // after the payload's last use; pairs with Pool::reuse (litmus R1)
    const auto word = topic_.ring.chunk_word(place.header.chunk).load_relaxed();
    return word == Stamp::chunk(layout::ChunkState::published, place.sequence, 0).word();
}

Released Reader::release(Place& place) noexcept {
    if (place.header.chunk == layout::no_chunk) return Released::intact;
    const bool intact = is_intact(place);
    drop_hold(place);
    return intact ? Released::intact : Released::revoked;
}

// ---- cursor, waiting ---------------------------------------------------------------------------

void Reader::acknowledge(Sequence s) noexcept {
    acknowledged_ = std::max(acknowledged_, std::min(s, next_ - 1));
    publish_cursor();
}

/// Several write each of these cursors: none goes back.
void Reader::acknowledge_shared(Sequence s) noexcept {
    if (s <= acknowledged_) return;
    acknowledged_ = cursor_ = s;
    // Pairs with Gate::slowest; sequentially consistent: before the look at space_armed.
    topic_.readers.entry(index_).cursor.raise_seq_cst(s);
}

void Reader::go_to(Sequence next, Sequence last_event) noexcept {
    next_ = next;
    last_event_ = last_event;
    acknowledged_ = std::min(acknowledged_, next - 1);
    overrun_margin_ = 0;
    if (cursor_ >= next) { // back: for tools, nobody waits for it
        cursor_ = next - 1;
        topic_.readers.entry(index_).cursor.store_relaxed(cursor_);
    }
    publish_cursor();
}

Sequence Reader::settled() const noexcept {
    return acknowledged_ >= last_event_ ? next_ - 1 : acknowledged_;
}

void Reader::publish_cursor() noexcept {
    const Sequence target = settled();
    if (target <= cursor_) return;
    cursor_ = target;
    auto& cursor = topic_.readers.entry(index_).cursor;
    if (!gates_) {
        cursor.store_relaxed(target); // for tools
        return;
    }
    // Pairs with Gate::slowest; sequentially consistent: before the look at space_armed.
    cursor.exchange_seq_cst(target);
    topic_.space_bell().ring_if_needed();
}

base::Woken Reader::sleep(std::uint64_t armed_at, Deadline deadline) noexcept {
    const auto woken = topic_.event_bell().sleep(armed_at, interrupt_, deadline);
    if (woken == base::Woken::interrupted) interrupt_.store_relaxed(0);
    return woken;
}

void Reader::interrupt() noexcept {
    interrupt_.store_release(1); // pairs with futex_wait()
    base::futex_wake_private(interrupt_);
}

} // namespace shmbus::ring
