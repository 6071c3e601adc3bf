// The subscribing side of the slot protocol.
//
// At sequence n the stamp of slot(n) says it all:
//
//     committed(n)      an event: copy it out with relaxed loads, acquire fence, look at the stamp
//                       again; a chunk is held first, then read in place
//     aborted(n), quarantined(n)         a tombstone, the same for everybody
//     evicted(n), a later lap            too late: count exactly which sequences are lost
//     claimed(n), an earlier lap, empty  not there yet
//
// Lengths and indices are checked against the geometry after the second look, so a damaged event is
// told apart from one that was overwritten meanwhile; it is reported as corrupt.
#pragma once

#include "layout/extension.hpp"
#include "ring/view.hpp"
#include "shmbus/types.hpp"

namespace shmbus::ring {

/// Where a received event is kept: one of a subscription's hold_cells places.
struct Place {
    std::uint32_t cell = 0;      // its number
    std::byte* buffer = nullptr; // RingView::inline_capacity() bytes, for what is copied out
    Sequence sequence = 0;
    layout::EventHeader header{};
    Bytes extension; // in `buffer` or in the chunk
    Bytes payload;
};

/// Chooses among the events that are looked at, by what the header says: a member of a group has its own.
class Pick {
  public:
    virtual bool wants(const layout::EventHeader& header, Sequence s) noexcept = 0;

  protected:
    ~Pick() = default;
};

/// What a subscription lets through.
struct Filter {
    std::vector<std::uint32_t> types; // empty: all
    std::optional<std::string> key;
    std::uint32_t key_hash = 0;
    Pick* pick = nullptr; // instead of all of these

    [[nodiscard]] bool is_there() const noexcept {
        return key || !types.empty() || pick != nullptr;
    }
    /// By the header; of a key that has the same hash lets_through_key() tells the rest.
    [[nodiscard]] bool lets_through(const layout::EventHeader& header, Sequence s) const noexcept;
    [[nodiscard]] bool lets_through_key(Bytes extension) const noexcept {
        return !key || layout::ExtensionReader(extension).key() == *key;
    }
};

/// When nothing will come any more.
enum class End : std::uint8_t {
    closed,  // when the ring is closed: its daemon goes away in order
    removed, // when the topic is: another daemon may open a closed ring again
};

/// One subscriber's eye on a ring. One thread at a time; interrupt() from anywhere.
class Reader {
  public:
    /// For reader entry `index`, leased to the caller with attach token `token`.
    /// @pre the ring may be mapped read-only, the readers object for writing
    Reader(const Topic& topic, std::uint32_t index, std::uint64_t token, bool lossy, Filter filter,
           End end = End::closed) noexcept;

    /// Attaches; afterwards publishers wait for this subscriber, unless it is lossy.
    void join(const Start& start) noexcept;

    /// Publishers wait for this subscriber no more.
    void leave() noexcept;

    enum class Look : std::uint8_t {
        event,   // in the place given
        gap,     // in gap()
        nothing, // there is nothing yet
        skipped, // many events were left out by the filter; look again
        closed,  // there is nothing, and there never will be
    };
    /// Looks at the next sequence, once. Never blocks.
    Look look(Place& place) noexcept;
    [[nodiscard]] const Gap& gap() const noexcept { return gap_; }

    /// Whether look() would find something, or the end. Sequentially consistent, for after arm().
    [[nodiscard]] bool is_ready() const noexcept;

    /// Sleeps until there may be something new. Call look() between arm() and sleep().
    [[nodiscard]] std::uint64_t arm() noexcept { return topic_.event_bell().arm(); }
    /// The word that arm() returned the value of.
    [[nodiscard]] const base::Word64& event_word() const noexcept {
        return topic_.ring.header().wake;
    }
    base::Woken sleep(std::uint64_t armed_at, Deadline deadline) noexcept;
    /// Makes a sleep end with `interrupted`, now or the next time. Async-signal-safe.
    void interrupt() noexcept;

    /// Whether what was read in place is still the event's; release() says so for all that was read before.
    [[nodiscard]] bool is_intact(const Place& place) const noexcept;
    /// Ends the use of a place.
    Released release(Place& place) noexcept;

    /// Everything up to `s` is done with.
    void acknowledge(Sequence s) noexcept;
    /// For topics on disk, whose subscribers read elsewhere what the ring no longer has: goes back, or on,
    /// to `next`; everything before it has been seen, the last event of that at `last_event`.
    void go_to(Sequence next, Sequence last_event) noexcept;
    /// For a member of a group, which reads here and there: looks at `next` from now on. Its cursor is the group's:
    /// acknowledge() alone moves it, and what is acknowledged may be before `next`.
    void look_at(Sequence next) noexcept {
        next_ = next;
        last_event_ = ~Sequence{0}; // of all there are, so that settled() is what is acknowledged
        overrun_margin_ = 0;
    }
    void look_only_for(Pick* pick) noexcept {
        filter_.pick = pick;
        filters_ = filter_.is_there();
    }
    /// The cursor of all members: see look_at().
    void acknowledge_shared(Sequence s) noexcept;
    /// Whether `s` is in the ring, or to come, and `margin` sequences from being overwritten.
    [[nodiscard]] bool has(Sequence s, std::uint64_t margin) const noexcept {
        return s >= topic_.ring.parameters().first_sequence &&
               s + topic_.ring.capacity() >= head() + 1 + margin;
    }
    [[nodiscard]] Sequence cursor() const noexcept { return cursor_; }
    /// What is acknowledged, with the gaps and left out events behind it.
    [[nodiscard]] Sequence settled() const noexcept;
    [[nodiscard]] Sequence last_event() const noexcept { return last_event_; }
    [[nodiscard]] Sequence position() const noexcept { return next_; }
    [[nodiscard]] Sequence head() const noexcept {
        return topic_.ring.header().tail.load_acquire() - 1;
    }
    [[nodiscard]] const RingView& ring() const noexcept { return topic_.ring; }

  private:
    enum class Copy : std::uint8_t { done, left_out, changed, corrupt };

    Copy copy_out(Slot& slot, std::uint64_t stamp, Place& place) noexcept;
    Copy copy_if_wanted(Slot& slot, std::uint64_t stamp, Place& place) noexcept;
    Copy copy_payload(Slot& slot, std::uint64_t stamp, Place& place) noexcept;
    Copy copy_inline(Slot& slot, std::uint64_t stamp, Place& place) noexcept;
    Copy hold_chunk(Slot& slot, std::uint64_t stamp, Place& place) noexcept;
    [[nodiscard]] static bool unchanged(const Slot& slot, std::uint64_t stamp) noexcept;
    void drop_hold(Place& place) noexcept;

    Look resolve(Stamp stamp) noexcept;
    Look tombstones() noexcept;
    Look without_payload(Stamp stamp) noexcept;
    Look overrun() noexcept;
    Look lose(Sequence last) noexcept;
    Look report(Sequence last, GapReason reason) noexcept;

    void announce(Sequence cursor) noexcept;
    [[nodiscard]] bool is_at_end() const noexcept;
    [[nodiscard]] bool was_evicted() const noexcept;
    [[nodiscard]] bool must_announce() const noexcept;
    [[nodiscard]] Sequence last_in(SlotState one, SlotState other) const noexcept;
    void rejoin() noexcept;
    [[nodiscard]] Sequence oldest(Sequence tail) const noexcept;
    [[nodiscard]] Sequence start_of(const Start& start) const noexcept;
    void publish_cursor() noexcept;

    Topic topic_;
    std::uint32_t index_;
    std::uint64_t token_;
    bool gates_; // publishers wait for this subscriber
    End end_;
    Filter filter_;
    bool filters_;              // filter_.is_there(), at one look
    Sequence next_ = 1;         // the one to look at
    Sequence last_event_ = 0;   // the last one handed out
    Sequence acknowledged_ = 0; // by the user
    Sequence cursor_ = 0;       // as publishers see it
    std::uint64_t overrun_margin_ = 0;
    std::uint32_t holds_ = 0; // chunks held
    Gap gap_;
    base::Word32 interrupt_{0};
};

} // namespace shmbus::ring
