#include "client/past.hpp"

#include "base/log.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <sys/stat.h>

namespace shmbus::client {

namespace {

using namespace std::chrono_literals;

/// For the first questions, and for who must not wait.
constexpr auto patience = 5s;
constexpr auto least_patience = 100ms;
/// After the daemon had nothing, or did not answer.
constexpr auto pause = 20ms;

void check(const control::SegmentFile& file) {
    struct stat status {};
    if (file.first == 0 || file.end < file.first ||
        (file.bytes != 0 && (::fstat(file.file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
                             static_cast<std::uint64_t>(status.st_size) < file.bytes ||
                             file.bytes < layout::segment_header_bytes)))
        throw Error(Errc::damaged, "the daemon sent a file that is no segment as it says");
}

} // namespace

Past::Past(const control::Lease& lease, const ring::Topic& topic, const ring::Filter& filter)
    : lease_(lease), topic_(topic), filter_(filter) {}

Past::SegmentPtr Past::open(std::uint64_t from, bool by_time,
                            std::chrono::nanoseconds limit) const {
    auto file = lease_.segment(from, by_time, limit);
    if (!file) return nullptr;
    check(*file);
    if (file->end == file->first) return new Segment(file->first, file->end, {}, std::nullopt);
    if (file->bytes == 0) return unreadable(*file, "it cannot be opened, or is no whole file");
    base::Mapping mapping(file->file, base::Access::read_only, file->bytes);
    try {
        const spill::SegmentView view(mapping.bytes(), lease_.uuid, file->first,
                                      {.end = file->end, .durable_through = file->durable});
        return new Segment(file->first, file->end, std::move(mapping), view);
    } catch (const Error& e) {
        if (e.code() != Errc::damaged) throw;
        return unreadable(*file, e.what());
    }
}

Past::SegmentPtr Past::unreadable(const control::SegmentFile& file, const std::string& why) const {
    base::log(LogLevel::warning, "topic " + lease_.topic + ": the events from " +
                                     std::to_string(file.first) + " to " +
                                     std::to_string(file.end - 1) + " are lost with file " +
                                     layout::segment_name(file.first) + ": " + why);
    return new Segment(file.first, file.end, {}, std::nullopt);
}

std::optional<Sequence> Past::oldest() {
    const auto segment = open(0, false, patience);
    return segment ? std::optional(segment->first) : std::nullopt;
}

std::optional<Sequence> Past::at_time(std::uint64_t time_ns) {
    const auto segment = open(time_ns, true, patience);
    if (!segment) return std::nullopt;
    if (!segment->view) return segment->first; // it may have been here
    return std::min(segment->view->seek_time(time_ns).expected(), segment->end);
}

void Past::seek(Sequence next, Sequence lost) noexcept {
    next_ = next;
    lost_ = lost;
    segment_.reset();
    try_again_ = {};
}

Past::Look Past::look(ring::Place& place, SegmentPtr& keep, Deadline limit) noexcept {
    if (!has_next(limit)) return Look::nothing;
    if (next_ < segment_->first) {
        if (next_ > lost_) return Look::nothing;
        return report(std::min(segment_->first - 1, lost_), GapReason::expired);
    }
    const Look look = read(place);
    if (look == Look::event) keep = segment_;
    return look;
}

bool Past::has_next(Deadline limit) noexcept {
    if (segment_ && next_ < segment_->end) return true;
    // Pairs with ring::set_stored(): what the daemon is asked for is there.
    if (topic_.ring.header().written.load_acquire() < next_) return false;
    const auto now = Deadline::Clock::now();
    if (now < try_again_) return false;
    try {
        if (open_next(limit)) {
            complained_ = false;
            return true;
        }
    } catch (const std::exception& e) {
        if (!std::exchange(complained_, true))
            base::log(LogLevel::warning,
                      "topic " + lease_.topic + ": reading its past: " + e.what());
    }
    try_again_ = now + pause;
    return false;
}

bool Past::open_next(Deadline limit) {
    std::chrono::nanoseconds rest = least_patience;
    if (!limit.passed())
        rest = std::clamp<std::chrono::nanoseconds>(limit.when() - Deadline::Clock::now(),
                                                    least_patience, patience);
    auto segment = open(next_, false, rest);
    if (!segment || segment->end <= next_) return false;
    segment_ = std::move(segment);
    if (segment_->view) cursor_ = segment_->view->seek(next_);
    return true;
}

Past::Look Past::read(ring::Place& place) {
    if (!segment_->view) return report(segment_->end - 1, GapReason::corrupt);
    constexpr int many = 1024;
    for (int i = 0; i < many; ++i) {
        switch (cursor_.next()) {
        case spill::Found::event:
            if (cursor_.sequence() < next_) break;
            if (const Look look = take_event(place); look != Look::skipped) return look;
            break;
        case spill::Found::tombstone:
        case spill::Found::damaged:
            if (cursor_.gap().last < std::max(next_, cursor_.gap().first)) break; // nothing is lost
            return report(cursor_.gap().last, cursor_.gap().reason);
        case spill::Found::end:
            // All of it was to be there.
            if (next_ < segment_->end) return report(segment_->end - 1, GapReason::corrupt);
            return Look::skipped;
        case spill::Found::sync_point:
        case spill::Found::footer: break;
        }
    }
    return Look::skipped;
}

Past::Look Past::take_event(ring::Place& place) {
    const Sequence s = cursor_.sequence();
    if (!filter_.lets_through(cursor_.event(), s)) {
        next_ = s + 1;
        return Look::skipped;
    }
    if (!cursor_.verify()) return report(s, cursor_.reason_for(s));
    if (!filter_.lets_through_key(cursor_.extension())) {
        next_ = s + 1;
        return Look::skipped;
    }
    place.sequence = s;
    place.header = cursor_.event();
    place.header.chunk = layout::no_chunk; // nobody has to be told when it is released
    place.extension = cursor_.extension();
    place.payload = cursor_.payload();
    next_ = s + 1;
    return Look::event;
}

Past::Look Past::report(Sequence last, GapReason reason) noexcept {
    gap_ = {next_, last, reason};
    next_ = last + 1;
    return Look::gap;
}

} // namespace shmbus::client
