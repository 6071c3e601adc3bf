// A topic's past on disk, as a subscription reads it: files that the daemon opens, one after the other.
//
// Reading is the subscriber's own: the daemon opens a file and is not asked again before the next. Of a
// file only what it said to be there is looked at; what is behind may grow, or be cut off.
#pragma once

#include "base/mapping.hpp"
#include "control/session.hpp"
#include "ring/reader.hpp"
#include "spill/segment_view.hpp"

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

namespace shmbus::client {

class Past {
  public:
    /// A file, or where one is or will be that cannot be read, for as long as somebody reads events in it: all on
    /// one thread, so the count is no atomic.
    struct Segment : boost::intrusive_ref_counter<Segment, boost::thread_unsafe_counter> {
        Segment(Sequence begin, Sequence behind, base::Mapping mapping,
                std::optional<spill::SegmentView> segment)
            : first(begin), end(behind), file(std::move(mapping)), view(segment) {}
        const Sequence first;
        const Sequence end;
        const base::Mapping file;
        const std::optional<spill::SegmentView> view; // none: nothing in it can be read
    };
    using SegmentPtr = boost::intrusive_ptr<Segment>;

    /// Both outlive it. @pre the topic is on disk
    Past(const control::Lease& lease, const ring::Topic& topic, const ring::Filter& filter);

    /// Where its oldest file begins, or will begin. @throws Error
    [[nodiscard]] std::optional<Sequence> oldest();
    /// The first event of this time or later, or the gap before that; where the file that may have it begins if
    /// that cannot be read. @throws Error
    [[nodiscard]] std::optional<Sequence> at_time(std::uint64_t time_ns);

    /// Goes on with `next`. What is in no file any more is expired up to `lost`; behind that the ring may
    /// have it.
    void seek(Sequence next, Sequence lost) noexcept;
    void ring_has_lost(Sequence lost) noexcept { lost_ = lost; }
    [[nodiscard]] Sequence position() const noexcept { return next_; }

    enum class Look : std::uint8_t {
        event,   // in the place given; `keep` keeps its bytes
        gap,     // in gap()
        skipped, // events were left out by the filter; look again
        nothing, // what is next is in no file yet, or the daemon did not open one just now
    };
    /// Asks the daemon for at most as long as `limit` says.
    Look look(ring::Place& place, SegmentPtr& keep, Deadline limit) noexcept;
    [[nodiscard]] const Gap& gap() const noexcept { return gap_; }

  private:
    [[nodiscard]] SegmentPtr open(std::uint64_t from, bool by_time,
                                  std::chrono::nanoseconds limit) const;
    [[nodiscard]] SegmentPtr unreadable(const control::SegmentFile& file,
                                        const std::string& why) const;
    /// Whether `next_` is in the segment at hand, or behind a gap that is reported first.
    bool has_next(Deadline limit) noexcept;
    bool open_next(Deadline limit);
    Look read(ring::Place& place);
    Look take_event(ring::Place& place);
    Look report(Sequence last, GapReason reason) noexcept;

    const control::Lease& lease_;
    const ring::Topic& topic_;
    const ring::Filter& filter_;
    SegmentPtr segment_;
    spill::FrameCursor cursor_;
    Sequence next_ = 1;
    Sequence lost_ = 0; // by the ring, up to here
    Gap gap_;
    Deadline::Clock::time_point try_again_{}; // the daemon is not asked before
    bool complained_ = false;
};

} // namespace shmbus::client
