#include "daemon/store/retention.hpp"

namespace shmbus::store {

std::size_t expendable(std::span<const SegmentFacts> segments, const Limits& limits,
                       const Situation& situation) noexcept {
    if (segments.empty()) return 0;
    std::uint64_t bytes = 0;
    for (const auto& segment : segments) bytes += segment.bytes;
    const Sequence newest = segments.back().last;
    std::uint64_t freed = 0;
    std::size_t count = 0;
    for (const auto& segment : segments.first(segments.size() - 1)) {
        const bool is_held = situation.hold && segment.last > *situation.hold;
        const bool may_go = (limits.max_bytes && bytes > *limits.max_bytes) ||
                            (limits.max_events && newest - segment.last >= *limits.max_events) ||
                            (limits.max_age_ns && situation.now_ns > segment.max_time &&
                             situation.now_ns - segment.max_time > *limits.max_age_ns) ||
                            situation.free_bytes + freed < limits.reserve_bytes;
        const bool is_beyond_cap = limits.hold_cap_bytes && bytes > *limits.hold_cap_bytes;
        if (is_held ? !is_beyond_cap : !may_go) break;
        bytes -= segment.bytes;
        freed += segment.bytes;
        ++count;
    }
    return count;
}

std::span<const SegmentFacts> Catalog::update(const Log& log, Directory& directory,
                                              const layout::Uuid& topic) {
    const auto& firsts = log.segments();
    std::erase_if(facts_, [&](const SegmentFacts& known) { return known.first < log.first(); });
    const auto is_stale = [&](std::size_t i) {
        return i >= firsts.size() || facts_[i].first != firsts[i];
    };
    while (!facts_.empty() && is_stale(facts_.size() - 1)) facts_.pop_back();
    if (!facts_.empty()) facts_.pop_back(); // it was the last one, and has grown
    while (facts_.size() < firsts.size()) {
        const Sequence first = firsts[facts_.size()];
        const Ends ends = read_header(directory, topic, first);
        // What one segment begins with is what the one before it ended with.
        if (!facts_.empty()) {
            facts_.back().last = first - 1;
            facts_.back().max_time = ends.header.max_time_before;
        }
        facts_.push_back({first, std::max(log.next(), first) - 1, ends.bytes, ~std::uint64_t{0}});
    }
    return facts_;
}

} // namespace shmbus::store
