// Walks the segments of a directory, one after the other.
//
// A daemon may be writing to the last one, and a read is no moment: it may miss what was written while it
// went on, and find what was written after that. So nothing is concluded from one look alone. The first
// look finds out up to where things are on disk, and up to which byte the last file is whole; what was
// before that then is there for the second look, which is the one that counts, and looks no further.
#include "shmbus/spill.hpp"

#include "client/receiver.hpp"
#include "client/segment_files.hpp"
#include "spill/segment_view.hpp"

#include <algorithm>
#include <map>

namespace shmbus {

const char* name_of(SpillFault fault) noexcept {
    switch (fault) {
    case SpillFault::event: return "event";
    case SpillFault::frame: return "frame";
    case SpillFault::segment: return "segment";
    }
    return "unknown";
}

namespace client {

/// Shows an event of no subscription, to which nobody gives it back.
class LentEvent {
  public:
    explicit LentEvent(const spill::FrameCursor& at) {
        held_.place.sequence = at.sequence();
        held_.place.header = at.event();
        held_.place.header.chunk = layout::no_chunk;
        held_.place.extension = at.extension();
        held_.place.payload = at.payload();
        event_ = Event(&held_);
    }
    LentEvent(const LentEvent&) = delete;
    LentEvent& operator=(const LentEvent&) = delete;
    ~LentEvent() { event_.held_ = nullptr; }
    [[nodiscard]] const Event& event() const noexcept { return event_; }

  private:
    HeldEvent held_;
    Event event_;
};

namespace {

SegmentReport::Time time_of(std::uint64_t ns) {
    return SegmentReport::Time(std::chrono::nanoseconds(ns));
}

/// Nothing if it is damaged. @throws Error(incompatible)
std::optional<layout::SegmentHeader> header_of(std::span<const std::byte> file, Sequence first) {
    try {
        return spill::checked_header(file, first);
    } catch (const Error& e) {
        if (e.code() != Errc::damaged) throw;
        return {};
    }
}

/// Makes the last one longer if this follows it and is of the same kind.
template <class Range, class Kind>
void append(std::vector<Range>& ranges, const Range& range, Kind Range::*kind) {
    if (!ranges.empty() && ranges.back().last + 1 == range.first &&
        ranges.back().*kind == range.*kind)
        ranges.back().last = range.last;
    else
        ranges.push_back(range);
}

} // namespace

class SpillWalk {
  public:
    SpillWalk(const std::string& directory, Sequence durable_through,
              const std::function<void(const Event&)>& on_event,
              const std::function<void(const Gap&)>& on_gap)
        : files_(directory), on_event_(on_event), on_gap_(on_gap),
          durable_through_(std::min(durable_through, layout::max_sequence)) {}

    std::vector<SegmentReport> run() {
        const auto segments = files_.list();
        look_at_headers(segments);
        for (std::size_t i = 0; i < segments.size(); ++i)
            read(segments[i], i + 1 < segments.size() ? segments[i + 1] : spill::unknown_end);
        return std::move(reports_);
    }

  private:
    void look_at_headers(std::span<const Sequence> segments);
    void look_at_last(const layout::SegmentHeader& header, bool is_last);
    void read(Sequence first, Sequence end);
    void walk(spill::FrameCursor& cursor);
    void take_event(const spill::FrameCursor& cursor);
    void lose(Sequence first, Sequence last, Sequence durable_through, SpillFault fault);
    void add_gap(const Gap& gap);

    SegmentFiles files_;
    const std::function<void(const Event&)>& on_event_;
    const std::function<void(const Gap&)>& on_gap_;
    // By the first look:
    layout::Uuid topic_{};
    Sequence durable_through_;
    std::uint64_t whole_ = ~std::uint64_t{0}; // bytes of the last segment
    std::vector<SegmentReport> reports_;      // the last one of the segment at hand
};

void SpillWalk::look_at_headers(std::span<const Sequence> segments) {
    std::vector<layout::SegmentHeader> headers;
    std::map<layout::Uuid, std::size_t> votes;
    for (const Sequence first : segments) {
        const auto page = files_.read(first, layout::segment_header_bytes);
        if (!page) continue;
        if (const auto header = header_of(*page, first)) {
            headers.push_back(*header);
            ++votes[header->topic];
        }
    }
    if (headers.empty()) return;
    // A file that got here by mistake does not make strangers of all the others; where it is one against
    // one, the later one is what was written last.
    for (const auto& header : headers)
        if (votes[header.topic] >= votes[topic_]) topic_ = header.topic;
    std::erase_if(headers, [&](const auto& header) { return header.topic != topic_; });
    for (const auto& header : headers)
        durable_through_ =
            std::max(durable_through_, std::min(header.durable_through, header.first - 1));
    look_at_last(headers.back(), headers.back().first == segments.back());
}

void SpillWalk::look_at_last(const layout::SegmentHeader& header, bool is_last) {
    const auto bytes = files_.read(header.first);
    if (!bytes) return;
    spill::FrameCursor cursor(*bytes, header, {.durable_through = durable_through_});
    std::uint64_t whole = layout::segment_header_bytes;
    for (auto found = cursor.next(); found != spill::Found::end; found = cursor.next()) {
        if (found == spill::Found::damaged) continue;
        const bool is_torn = found == spill::Found::event && !cursor.verify() &&
                             cursor.sequence() > cursor.durable_through();
        if (!is_torn) whole = cursor.position();
    }
    durable_through_ = std::max(durable_through_, cursor.durable_through());
    if (is_last) whole_ = whole;
}

/// @param end the next one's first, or unknown_end
void SpillWalk::read(Sequence first, Sequence end) {
    const bool is_last = end == spill::unknown_end;
    const auto bytes = files_.read(first);
    if (!bytes) { // since it was listed
        if (!is_last && on_gap_) on_gap_({first, end - 1, GapReason::expired});
        return;
    }
    auto& report = reports_.emplace_back();
    report.file = layout::segment_name(first);
    report.first = first;
    report.bytes = bytes->size();
    const auto header = header_of(*bytes, first);
    if (!header || header->topic != topic_) {
        // All of it: it got its name when its header was on disk.
        report.last = is_last ? std::max(first, durable_through_) : end - 1;
        return lose(first, report.last, report.last, SpillFault::segment);
    }
    report.created = time_of(header->created_ns);
    report.sealed = spill::footer_in(*bytes, bytes->size(), *header).has_value();
    std::span<const std::byte> whole = *bytes;
    if (is_last) whole = whole.first(std::min<std::uint64_t>(whole.size(), whole_));
    spill::FrameCursor cursor(whole, *header, {end, durable_through_});
    walk(cursor);
}

void SpillWalk::walk(spill::FrameCursor& cursor) {
    for (;;) {
        switch (cursor.next()) {
        case spill::Found::event: take_event(cursor); break;
        case spill::Found::tombstone: add_gap(cursor.gap()); break;
        case spill::Found::damaged:
            lose(cursor.gap().first, cursor.gap().last, cursor.durable_through(),
                 SpillFault::frame);
            break;
        case spill::Found::sync_point:
        case spill::Found::footer: break;
        case spill::Found::end: reports_.back().last = cursor.expected() - 1; return;
        }
    }
}

void SpillWalk::take_event(const spill::FrameCursor& cursor) {
    const Sequence s = cursor.sequence();
    if (!cursor.verify()) return lose(s, s, cursor.durable_through(), SpillFault::event);
    auto& report = reports_.back();
    const auto time = time_of(cursor.event().time_ns);
    ++report.events;
    report.oldest = std::min(report.oldest.value_or(time), time);
    report.newest = std::max(report.newest.value_or(time), time);
    if (on_event_) on_event_(LentEvent(cursor).event());
}

/// They may be none at all.
void SpillWalk::lose(Sequence first, Sequence last, Sequence durable_through, SpillFault fault) {
    const Sequence corrupt_through = std::min(last, std::max(durable_through, durable_through_));
    if (first <= corrupt_through) {
        append(reports_.back().damages, {first, corrupt_through, fault}, &SpillDamage::fault);
        add_gap({first, corrupt_through, GapReason::corrupt});
        first = corrupt_through + 1;
    }
    if (first <= last) add_gap({first, last, GapReason::lost});
}

void SpillWalk::add_gap(const Gap& gap) {
    append(reports_.back().gaps, gap, &Gap::reason);
    if (on_gap_) on_gap_(gap);
}

} // namespace client

std::vector<SegmentReport> inspect_spill(const std::string& directory, Sequence durable_through) {
    return read_spill(directory, {}, {}, durable_through);
}

std::vector<SegmentReport> read_spill(const std::string& directory,
                                      const std::function<void(const Event&)>& on_event,
                                      const std::function<void(const Gap&)>& on_gap,
                                      Sequence durable_through) {
    return client::SpillWalk(directory, durable_through, on_event, on_gap).run();
}

} // namespace shmbus
