// A segment in memory, made frame by frame, and what can be read from it.
#pragma once

#include "layout/frame_writer.hpp"
#include "spill/segment_view.hpp"

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace shmbus::test {

inline constexpr layout::Uuid segment_topic{1, 2, 3, 4};

class SegmentBuilder {
  public:
    explicit SegmentBuilder(Sequence first = 10, std::uint64_t max_time_before = 0,
                            std::uint64_t salt = 4711)
        : next_(first), max_time_(max_time_before) {
        header_.topic = segment_topic;
        header_.first = first;
        header_.salt = salt;
        header_.max_time_before = max_time_before;
        header_.durable_through = first - 1;
        const auto page = layout::segment_header_page(header_);
        bytes_.assign(page.begin(), page.end());
        writer_ = layout::FrameWriter(header_);
    }

    SegmentBuilder& event(const std::string& payload, std::uint64_t time_ns = 0,
                          const std::string& extension = {}) {
        layout::EventFrame event;
        event.sequence = next_;
        event.header.time_ns = time_ns;
        event.payload = std::as_bytes(std::span(payload));
        event.extension = std::as_bytes(std::span(extension));
        std::byte* to = room(event.bytes());
        writer_.event(to, offsets_[next_], event);
        max_time_ = std::max(max_time_, time_ns);
        ++next_;
        return *this;
    }
    SegmentBuilder& tombstone(Sequence last, GapReason reason) {
        std::byte* to = room(layout::tombstone_frame_bytes);
        writer_.tombstone(to, offsets_[next_], next_,
                          {last, static_cast<std::uint8_t>(reason), {}});
        next_ = last + 1;
        return *this;
    }
    SegmentBuilder& sync_point(Sequence durable_through) {
        const auto at = bytes_.size();
        bytes_.resize(at + layout::sync_point_frame_bytes);
        writer_.sync_point(bytes_.data() + at, at, next_, {1, durable_through, 0});
        return *this;
    }
    SegmentBuilder& footer() {
        const auto at = bytes_.size();
        bytes_.resize(at + layout::footer_frame_bytes(index.size()));
        layout::FooterSummary summary{};
        summary.last = next_ - 1;
        summary.max_time = max_time_;
        writer_.footer(bytes_.data() + at, at, next_, summary, index);
        return *this;
    }
    SegmentBuilder& zeros(std::size_t count) {
        bytes_.resize(bytes_.size() + count);
        return *this;
    }

    [[nodiscard]] spill::SegmentView view(const spill::Extent& extent = {}) const {
        return {bytes_, segment_topic, header_.first, extent};
    }
    [[nodiscard]] std::vector<std::byte>& bytes() { return bytes_; }
    /// Where the frame with this sequence begins.
    [[nodiscard]] std::size_t offset(Sequence s) const { return offsets_.at(s); }
    void flip(std::size_t at, unsigned bit = 0) { bytes_.at(at) ^= std::byte{1} << bit; }
    void wipe(std::size_t from, std::size_t to) { std::memset(bytes_.data() + from, 0, to - from); }
    [[nodiscard]] Sequence next() const { return next_; }
    [[nodiscard]] std::uint64_t max_time() const { return max_time_; }
    [[nodiscard]] const layout::SegmentHeader& header() const { return header_; }

    std::vector<layout::IndexEntry> index; // goes into the footer

  private:
    std::byte* room(std::uint64_t bytes) {
        const auto at = bytes_.size();
        offsets_[next_] = at;
        bytes_.resize(at + bytes);
        return bytes_.data() + at;
    }
    layout::SegmentHeader header_{};
    layout::FrameWriter writer_;
    std::vector<std::byte> bytes_;
    std::map<Sequence, std::uint64_t> offsets_;
    Sequence next_;
    std::uint64_t max_time_;
};

/// One word for each thing found: "e10 t11-12:lost s f", "bad13" for a body that is not right,
/// "d14-15:corrupt" for a damage.
inline std::string text_of(spill::FrameCursor cursor) {
    std::string text;
    const auto add = [&](const std::string& word) { text += (text.empty() ? "" : " ") + word; };
    const auto gap = [&](const char* what) {
        const auto& g = cursor.gap();
        add(what + std::to_string(g.first) + '-' + std::to_string(g.last) + ':' +
            name_of(g.reason));
    };
    for (;;) {
        switch (cursor.next()) {
        case spill::Found::event:
            add((cursor.verify() ? "e" : "bad") + std::to_string(cursor.sequence()));
            break;
        case spill::Found::tombstone: gap("t"); break;
        case spill::Found::damaged: gap("d"); break;
        case spill::Found::sync_point: add("s"); break;
        case spill::Found::footer: add("f"); break;
        case spill::Found::end: return text;
        }
    }
}

} // namespace shmbus::test
