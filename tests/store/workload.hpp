// A log's caller for tests: it has every event, appends them in turn, and does what the log's callers are
// to do when the disk does not work.
#pragma once

#include "daemon/store/log.hpp"
#include "simulated_files.hpp"

#include <gtest/gtest.h>
#include <map>
#include <string>

namespace shmbus::test {

using store::Log;
using store::Outcome;

inline constexpr layout::Uuid log_topic{7, 7, 7};

/// Small segments, so that a few hundred events fill several.
inline store::LogOptions small_segments(bool durable = true) {
    return {.durable = durable, .min_capacity = 16'384, .max_capacity = 65'536};
}

/// The event of each sequence is always the same: mostly small, some of a few KiB, a few larger than a
/// segment.
inline const std::string& payload_of(Sequence s) {
    static std::map<Sequence, std::string> made; // much of the tests' time otherwise
    std::string& text = made[s];
    const std::size_t size = s % 97 == 50 ? 80'000 : s % 13 == 5 ? 3'000 + s % 7 : s * 37 % 200;
    if (text.empty()) text = std::to_string(s) + ':';
    while (text.size() < size) text += static_cast<char>('a' + (text.size() * 7 + s) % 26);
    return text;
}
inline std::string extension_of(Sequence s) { return std::string(s % 3 * 5, 'x'); }
inline std::uint64_t time_of(Sequence s) { return 1'000'000 + s * 100 - s * 7'919 % 1'000; }
/// Some sequences were aborted.
inline bool is_aborted(Sequence s) { return s % 11 == 7; }

/// An event, or a gap, alone.
template <class What> Outcome append(Log& log, const What& what) {
    store::Batch batch;
    batch.add(what);
    return log.append(batch);
}

inline void add(store::Batch& batch, Sequence s) {
    if (is_aborted(s)) return batch.add(Gap{s, s, GapReason::aborted});
    const std::string& payload = payload_of(s);
    const std::string extension = extension_of(s);
    layout::EventFrame event;
    event.sequence = s;
    event.header.time_ns = time_of(s);
    event.header.type = static_cast<std::uint32_t>(s);
    event.extension = std::as_bytes(std::span(extension));
    event.payload = std::as_bytes(std::span(payload));
    batch.add(event);
}

inline Outcome append_next(Log& log) {
    store::Batch batch;
    add(batch, log.next());
    return log.append(batch);
}

inline void append_through(Log& log, Sequence last) {
    while (log.next() <= last) ASSERT_EQ(append_next(log), Outcome::done) << log.trouble();
}

/// What is in a log, as its readers see it.
struct Reading {
    std::map<Sequence, Gap> gaps; // by first
    std::size_t events = 0;
    [[nodiscard]] bool has_gap_at(Sequence s) const {
        auto after = gaps.upper_bound(s);
        return after != gaps.begin() && std::prev(after)->second.last >= s;
    }
};

/// Goes through all segments, checks that every event is the right one and that every sequence is there
/// once, as an event or in a gap. `files` are what can be read.
inline Reading read_log(const Log& log, const std::map<std::string, FileBytes>& files) {
    Reading reading;
    const auto& segments = log.segments();
    Sequence next = log.first();
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const bool is_last = i + 1 == segments.size();
        const spill::Extent extent{.end = is_last ? log.written() + 1 : segments[i + 1],
                                   .durable_through = log.durable()};
        const auto& bytes = files.at(layout::segment_name(segments[i]));
        auto cursor = spill::SegmentView(bytes, log_topic, segments[i], extent).begin();
        const auto gap = [&](Gap lost) {
            if (lost.last < lost.first) return;
            EXPECT_EQ(lost.first, next);
            next = lost.last + 1;
            reading.gaps[lost.first] = lost;
        };
        for (auto found = cursor.next(); found != spill::Found::end; found = cursor.next()) {
            const Sequence s = cursor.sequence();
            if (found == spill::Found::event && cursor.verify()) {
                EXPECT_EQ(s, next++);
                EXPECT_FALSE(is_aborted(s));
                EXPECT_EQ(as_text(cursor.payload()), payload_of(s));
                EXPECT_EQ(as_text(cursor.extension()), extension_of(s));
                EXPECT_EQ(cursor.event().time_ns, time_of(s));
                EXPECT_EQ(cursor.event().type, static_cast<std::uint32_t>(s));
                ++reading.events;
            } else if (found == spill::Found::event) {
                gap({s, s, cursor.reason_for(s)});
            } else if (found == spill::Found::tombstone || found == spill::Found::damaged) {
                gap(cursor.gap());
            }
        }
    }
    EXPECT_EQ(next, std::max(log.first(), log.written() + 1));
    return reading;
}

/// The gaps that are no aborted sequences: what has been lost.
inline std::vector<Gap> losses(const Reading& reading) {
    std::vector<Gap> all;
    for (const auto& [first, gap] : reading.gaps)
        if (gap.reason != GapReason::aborted) all.push_back(gap);
    return all;
}

} // namespace shmbus::test
