#include "daemon/store/retention.hpp"

#include <cerrno>

namespace shmbus::store {

namespace {

/// One that somebody has taken away takes no room.
std::uint64_t size_of(const Directory& directory, Sequence first) {
    try {
        return directory.size_of(layout::segment_name(first));
    } catch (const FileError& e) {
        if (e.error() != ENOENT) throw;
        return 0;
    }
}

} // namespace

std::size_t expendable(std::span<const SegmentFacts> segments, const Limits& limits,
                       const Situation& situation, const MaxTime& max_time) {
    if (segments.empty()) return 0;
    std::uint64_t bytes = 0;
    for (const auto& segment : segments) bytes += segment.bytes;
    const Sequence newest = segments.back().last;
    std::size_t count = 0;
    const auto is_too_old = [&] {
        if (!limits.max_age_ns) return false;
        const std::uint64_t latest = max_time(count);
        return situation.now_ns > latest && situation.now_ns - latest > *limits.max_age_ns;
    };
    for (const auto& segment : segments.first(segments.size() - 1)) {
        const bool is_held = situation.hold && segment.last > *situation.hold;
        const bool is_beyond_cap = limits.hold_cap_bytes && bytes > *limits.hold_cap_bytes;
        if (is_held && !is_beyond_cap) break;
        const bool may_go = (limits.max_bytes && bytes > *limits.max_bytes) ||
                            (limits.max_events && newest - segment.last >= *limits.max_events);
        if (!is_held && !may_go && !is_too_old()) break;
        bytes -= segment.bytes;
        ++count;
    }
    return count;
}

std::span<const SegmentFacts> Catalog::update() {
    const auto& firsts = log_.segments();
    std::erase_if(facts_, [&](const SegmentFacts& known) { return known.first < log_.first(); });
    const auto is_stale = [&](std::size_t i) {
        return i >= firsts.size() || facts_[i].first != firsts[i];
    };
    while (!facts_.empty() && is_stale(facts_.size() - 1)) facts_.pop_back();
    if (!facts_.empty()) facts_.pop_back(); // it was the last one, and has grown
    while (facts_.size() < firsts.size()) {
        const Sequence first = firsts[facts_.size()];
        const bool is_last = facts_.size() + 1 == firsts.size();
        const Sequence next = is_last ? log_.next() : firsts[facts_.size() + 1];
        facts_.push_back({first, std::max(next, first) - 1, size_of(directory_, first)});
    }
    return facts_;
}

std::uint64_t Catalog::max_time(std::size_t i) const {
    while (++i < facts_.size()) {
        try {
            return read_header(directory_, topic_, facts_[i].first).header.max_time_before;
        } catch (const Error&) {
            // What is latest up to the segment behind it is at least as late.
            continue;
        }
    }
    return ~std::uint64_t{0};
}

} // namespace shmbus::store
