// Proves that subscribers were told the truth: each feeds what it saw into a stream of its own, and
// at the end all streams are compared with each other and with what publishers say they published.
#pragma once

#include "shmbus/event.hpp"
#include "shmbus/types.hpp"

#include <array>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace shmbus::test {

/// A payload that shows by itself whether it is torn. At least `min_bytes`.
struct Payload {
    static constexpr std::size_t min_bytes = 24;
    std::uint32_t publisher;
    std::uint64_t number; // counts the publisher's events

    [[nodiscard]] std::vector<std::byte> bytes(std::size_t size) const {
        std::vector<std::byte> bytes(size);
        std::uint64_t state = seed(size);
        for (auto& byte : bytes) byte = static_cast<std::byte>(next(state));
        std::memcpy(bytes.data(), &number, 8);
        std::memcpy(bytes.data() + 8, &publisher, 4);
        return bytes;
    }
    /// Nothing if it is torn.
    static std::optional<Payload> of(Bytes bytes) {
        if (bytes.size() < min_bytes) return {};
        Payload payload{};
        std::memcpy(&payload.number, bytes.data(), 8);
        std::memcpy(&payload.publisher, bytes.data() + 8, 4);
        const auto right = payload.bytes(bytes.size());
        if (std::memcmp(right.data(), bytes.data(), bytes.size()) != 0) return {};
        return payload;
    }

  private:
    [[nodiscard]] std::uint64_t seed(std::size_t size) const {
        return number * 0x9e3779b97f4a7c15U + publisher * 31U + size;
    }
    static std::uint64_t next(std::uint64_t& state) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return state >> 56U;
    }
};

/// What one subscriber saw, in order. One thread.
class Stream {
  public:
    explicit Stream(std::string name) : name_(std::move(name)) {}
    void starts_at(Sequence s) { next_ = s; }
    void event(Sequence s, Bytes payload) {
        dense(s, s);
        const auto read = Payload::of(payload);
        if (!read) {
            problems_.push_back(name_ + ": torn payload at " + std::to_string(s));
            return;
        }
        auto& last = last_of_[read->publisher];
        if (read->number <= last)
            problems_.push_back(name_ + ": publisher " + std::to_string(read->publisher) +
                                " out of order at " + std::to_string(s));
        last = read->number;
        events_.emplace(s, std::pair{read->publisher, read->number});
    }
    void gap(const Gap& gap) {
        dense(gap.first, gap.last);
        gaps_.push_back(gap);
    }
    [[nodiscard]] std::size_t events() const { return events_.size(); }
    [[nodiscard]] std::size_t gaps() const { return gaps_.size(); }
    [[nodiscard]] Sequence next() const { return next_; }

  private:
    friend class StreamChecker;
    void dense(Sequence first, Sequence last) {
        if (first != next_ || last < first)
            problems_.push_back(name_ + ": " + std::to_string(first) + " where " +
                                std::to_string(next_) + " should be");
        next_ = last + 1;
    }
    std::string name_;
    Sequence next_ = 1;
    std::map<Sequence, std::pair<std::uint32_t, std::uint64_t>> events_;
    std::map<std::uint32_t, std::uint64_t> last_of_;
    std::vector<Gap> gaps_;
    std::vector<std::string> problems_;
};

class StreamChecker {
  public:
    /// What a publisher was told: its event has that sequence.
    void published(Sequence s, const Payload& payload) {
        if (!published_.emplace(s, std::pair{payload.publisher, payload.number}).second)
            problems_.push_back("two publishers got " + std::to_string(s));
    }

    /// `all`: the stream began with the first event and may not miss any; gaps are tombstones.
    void add(const Stream& stream, bool all) {
        problems_.insert(problems_.end(), stream.problems_.begin(), stream.problems_.end());
        for (const auto& [s, event] : stream.events_) {
            const auto [it, is_new] = events_.emplace(s, event);
            if (!is_new && it->second != event)
                problems_.push_back(stream.name_ + ": another event at " + std::to_string(s));
        }
        for (const auto& gap : stream.gaps_) {
            if (gap.reason == GapReason::corrupt)
                problems_.push_back(stream.name_ + ": corrupt at " + std::to_string(gap.first));
            if (all && gap.reason != GapReason::aborted)
                problems_.push_back(stream.name_ + ": lost from " + std::to_string(gap.first));
            if (gap.reason == GapReason::aborted)
                for (Sequence s = gap.first; s <= gap.last; ++s)
                    tombstones_.emplace(s, stream.name_);
        }
        if (all) complete_.push_back(&stream);
    }

    /// To be asked last; `stream`s must still be there.
    [[nodiscard]] std::vector<std::string> problems() const {
        auto all = problems_;
        for (const auto& [s, name] : tombstones_)
            if (events_.count(s) != 0 || published_.count(s) != 0)
                all.push_back(name + ": no tombstone for others at " + std::to_string(s));
        for (const auto& [s, event] : events_)
            if (const auto it = published_.find(s); it == published_.end() || it->second != event)
                all.push_back("event that nobody published at " + std::to_string(s));
        for (const auto* stream : complete_)
            for (const auto& [s, event] : published_)
                if (stream->events_.count(s) == 0)
                    all.push_back(stream->name_ + ": never got " + std::to_string(s));
        return all;
    }
    [[nodiscard]] std::size_t tombstones() const { return tombstones_.size(); }
    [[nodiscard]] std::size_t events() const { return published_.size(); }

  private:
    std::map<Sequence, std::pair<std::uint32_t, std::uint64_t>> published_;
    std::map<Sequence, std::pair<std::uint32_t, std::uint64_t>> events_;
    std::map<Sequence, std::string> tombstones_;
    std::vector<const Stream*> complete_;
    std::vector<std::string> problems_;
};

} // namespace shmbus::test
